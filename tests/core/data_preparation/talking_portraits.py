"""Small raw footage: a moving public-domain portrait with a tone, cuts to a picture without a face, broken files."""

from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

from tests.conftest import run_ffmpeg

SIDE = 300


def portrait() -> np.ndarray:
    """(300, 300, 3) uint8, one face about 120 px tall."""
    return data.astronaut()[:SIDE, 80 : 80 + SIDE]


def write_video(
    path: Path, pictures: list[np.ndarray], seconds: float = 0.48, fps: str = "25", tone: bool = True
) -> None:
    """Write an mp4 that shows each picture, swaying, for so many seconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    inputs: list[str | Path] = []
    for number, picture in enumerate(pictures):
        still = path.with_name(f"{path.stem}-{number}.png")
        Image.fromarray(picture).save(still)
        inputs += ["-loop", "1", "-framerate", fps, "-t", str(seconds), "-i", still]
    count = len(pictures)
    joined = "".join(f"[{number}:v]" for number in range(count)) + f"concat=n={count}:v=1,rotate=0.02*sin(20*t)[v]"
    sound: list[str | Path] = ["-f", "lavfi", "-i", f"sine=frequency=300:duration={seconds * count}"] if tone else []
    mapped = ["-map", "[v]", *(["-map", f"{count}:a"] if tone else [])]
    encoded = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", path]
    run_ffmpeg(*inputs, *sound, "-filter_complex", joined, *mapped, *encoded)
    for still in path.parent.glob(f"{path.stem}-*.png"):
        still.unlink()


def grey() -> np.ndarray:
    """A picture without a face."""
    return np.full((SIDE, SIDE, 3), 90, np.uint8)


def two_people() -> np.ndarray:
    """(300, 600, 3): the portrait beside itself."""
    return np.concatenate([portrait(), portrait()], axis=1)
