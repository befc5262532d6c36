"""Inputs of any length and size, made of the bundled sample."""

import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
SAMPLE_VIDEO, SAMPLE_AUDIO = REPOSITORY / "samples" / "sample.mp4", REPOSITORY / "samples" / "sample.wav"


def repeat_to(path: Path, seconds: float, out: Path) -> Path:
    """Write a file that repeats `path` up to a length, packets copied."""
    return _ffmpeg("-stream_loop", "-1", "-i", f"file:{path}", "-t", str(seconds), "-c", "copy", out=out)


def place_in(path: Path, width: int, height: int, out: Path) -> Path:
    """Write a video of another size: the picture enlarged to fit, grey beside it."""
    fit = f"scale={width}:{height}:force_original_aspect_ratio=decrease:flags=bicubic"
    fill = f"pad={width}:{height}:(ow-iw)/2:(oh-ih)/2:color=gray,setsar=1"
    encode = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "16", "-pix_fmt", "yuv420p")
    return _ffmpeg("-i", f"file:{path}", "-an", "-vf", f"{fit},{fill}", *encode, out=out)


def _ffmpeg(*arguments: str, out: Path) -> Path:
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", *arguments, f"file:{out}"], check=True, timeout=300)
    return out
