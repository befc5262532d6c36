"""Inputs of any length and size, made of the bundled sample."""

import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
SAMPLE_VIDEO, SAMPLE_AUDIO = REPOSITORY / "samples" / "sample.mp4", REPOSITORY / "samples" / "sample.wav"


def repeat_video(path: Path, seconds: float, out: Path, size: tuple[int, int] | None = None) -> Path:
    """Write a video that repeats `path` up to a length, at 25 fps without sound.

    Args:
        path: the video.
        seconds: the length.
        out: an mp4.
        size: (width, height): the picture is enlarged to fit, with grey beside it; None = as it is.
    """
    filters = ["fps=25"]
    if size is not None:
        width, height = size
        filters.append(f"scale={width}:{height}:force_original_aspect_ratio=decrease:flags=bicubic")
        filters.append(f"pad={width}:{height}:(ow-iw)/2:(oh-ih)/2:color=gray,setsar=1")
    encode = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "16", "-pix_fmt", "yuv420p")
    return _repeat(path, seconds, "-an", "-vf", ",".join(filters), *encode, out=out)


def repeat_audio(path: Path, seconds: float, out: Path) -> Path:
    """Write a WAV that repeats the sound of `path` up to a length."""
    return _repeat(path, seconds, "-vn", "-c:a", "pcm_s16le", out=out)


def _repeat(path: Path, seconds: float, *arguments: str, out: Path) -> Path:
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", "-stream_loop", "-1", "-i", f"file:{path}"]
    subprocess.run([*command, "-t", str(seconds), *arguments, f"file:{out}"], check=True, timeout=900)
    return out
