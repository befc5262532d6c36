"""Make samples/sample.mp4 and samples/sample.wav: a talking-head shot and a sentence, free of anyone's rights.

The picture is matplotlib's sample `grace_hopper.jpg` (Grace Hopper, portrait by the United States Navy, public domain).
A camera that drifts, breathes and tilts a little, as soft as a phone's, and a little sensor noise, make a clip of it.
The sentence is spoken by flite's "slt" voice.
Both are committed; run this (`make sample`) only to change them.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from matplotlib.cbook import get_sample_data
from PIL import Image

SAMPLES = Path(__file__).resolve().parent.parent / "samples"
SENTENCE = "Hello! I am only a photograph, but today you can see me speak. Please, watch my lips."
FPS = 25
SECONDS = 6
SIDE = 512  # pixels of the square result
SHOT_CENTRE = (262.0, 262.0)  # x, y in the picture of 512 x 600 pixels: head and shoulders
SHOWN = 430.0  # pixels of the picture that the frame shows across
SOFTNESS = 1.0  # pixels, sigma of the lens's blur; the scan itself is sharpened
NOISE_SIGMA = 1.2  # grey levels


def main() -> int:
    """Write both files; gives the exit code."""
    SAMPLES.mkdir(exist_ok=True)
    speak(SENTENCE, SAMPLES / "sample.wav")
    film(SAMPLES / "sample.mp4")
    return 0


def speak(sentence: str, path: Path) -> None:
    """Write the sentence as 16 kHz mono speech."""
    subprocess.run(["flite", "-voice", "slt", "-t", sentence, "-o", str(path)], check=True, timeout=60)


def film(path: Path) -> None:
    """Write the clip as H.264, without sound."""
    encoder = subprocess.Popen(
        [
            *("ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin", "-y"),
            *("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{SIDE}x{SIDE}", "-r", str(FPS), "-i", "pipe:0"),
            *("-vf", "scale=out_color_matrix=bt709", "-pix_fmt", "yuv420p"),
            *("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"),
            *("-c:v", "libx264", "-preset", "slow", "-crf", "21"),
            *("-movflags", "+faststart", str(path)),
        ],
        stdin=subprocess.PIPE,
    )
    assert encoder.stdin is not None  # a pipe was asked for
    with encoder.stdin:
        for frame in frames():
            encoder.stdin.write(frame.tobytes())
    if encoder.wait(timeout=120) != 0:
        raise RuntimeError(f"ffmpeg could not write {path}")


def frames() -> Iterator[np.ndarray]:
    """Give every frame of the clip, (SIDE, SIDE, 3) uint8 RGB."""
    picture = np.asarray(Image.open(str(get_sample_data("grace_hopper.jpg", asfileobj=False))).convert("RGB"))
    rng = np.random.default_rng(1247)
    for index in range(FPS * SECONDS):
        seen = cv2.warpAffine(
            picture, camera(index / FPS), (SIDE, SIDE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
        )
        noisy = cv2.GaussianBlur(seen, (0, 0), SOFTNESS) + rng.normal(0.0, NOISE_SIGMA, (SIDE, SIDE, 1))
        yield np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def camera(seconds: float) -> np.ndarray:
    """Give the transform from picture to frame pixels, (2, 3): a slow sway, a push-in of 6 %, a tilt of 1.5 degrees."""
    swing = 2 * np.pi * seconds / SECONDS
    centre = SHOT_CENTRE[0] + 5 * np.sin(swing), SHOT_CENTRE[1] + 3 * np.sin(2 * swing + 0.5)
    zoom = SIDE / SHOWN * (1.03 - 0.03 * np.cos(swing))
    matrix: np.ndarray = cv2.getRotationMatrix2D(centre, 1.5 * np.sin(swing + 1.0), zoom)
    matrix[:, 2] += (SIDE / 2 - centre[0], SIDE / 2 - centre[1])
    return matrix


if __name__ == "__main__":
    sys.exit(main())
