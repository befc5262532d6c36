"""One video from mp4 to mp4, as the product does it, in a process of its own.

    python -m benchmarks.whole_run [--bundle mini] [--device cpu] [--dtype bfloat16] [--seconds 5] [--size 1280x720]
                                   [--json FILE]

The clip is the bundled sample, repeated to the length; with --size it lies in a larger picture. Reading, face
detection, generation and writing overlap: busy seconds of the stages add up to more than the time that passed.
"""

import argparse
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.bundles import measured_bundle
from benchmarks.clips import SAMPLE_AUDIO, SAMPLE_VIDEO, repeat_audio, repeat_video
from benchmarks.parts import add_output, say
from latentsync_core.bundle import Bundle
from latentsync_core.pipeline import LipSyncPipeline


def measure_run(
    bundle: Bundle, video: Path, audio: Path, seconds: float, size: tuple[int, int] | None = None
) -> dict[str, Any]:
    """Lip-sync a clip and give the run's report.

    Args:
        bundle: the networks, loaded.
        video, audio: repeated to the length.
        seconds: length of the clip.
        size: (width, height) of the video, None = as it is.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video = repeat_video(video, seconds, folder / "video.mp4", size)
        audio = repeat_audio(audio, seconds, folder / "audio.wav")
        report = LipSyncPipeline(bundle).run(video, audio, folder / "out.mp4")
    return {"bundle": bundle.name, "seconds_of_video": seconds, "is_extrapolated": False} | asdict(report)


def main() -> None:
    """Measure one run and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", default="mini")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), help="default: the product's choice")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--size", type=_size, metavar="WxH")
    add_output(parser)
    chosen = parser.parse_args()
    start = time.perf_counter()
    bundle = measured_bundle(chosen.bundle, chosen.device, chosen.dtype)
    loading = time.perf_counter() - start
    figures = measure_run(bundle, SAMPLE_VIDEO, SAMPLE_AUDIO, chosen.seconds, chosen.size)
    say(figures | {"seconds_loading": round(loading, 2)}, chosen.json)


def _size(text: str) -> tuple[int, int]:
    width, height = (int(part) for part in text.split("x"))
    return width, height


if __name__ == "__main__":
    main()
