"""A small copy of a video that every browser plays (HEVC, ProRes or 10-bit uploads do not). No torch here."""

from pathlib import Path

from latentsync_core.errors import UnreadableMedia
from latentsync_core.media.ffmpeg import INPUT_LIMITS, CommandFailed, file_url, run_command, shown

PREVIEW_SECONDS_LIMIT = 600.0


def make_preview(path: Path, out: Path, max_side: int = 960) -> None:
    """Write an H.264/AAC mp4 whose longer side is at most `max_side`, upright, playable while it loads.

    Args:
        path: a video with or without sound.
        out: the mp4 to write; it appears only when it is complete.
        max_side: pixels.

    Raises:
        UnreadableMedia: if the file cannot be decoded.
    """
    fit = f"scale='min(iw,{max_side})':'min(ih,{max_side})':force_original_aspect_ratio=decrease:force_divisible_by=2"
    partial = out.with_name(f"{out.name}.part")
    arguments = ["ffmpeg", "-v", "error", "-nostdin", "-y", *INPUT_LIMITS, "-i", file_url(path)]
    arguments += ["-map", "0:v:0", "-map", "0:a:0?", "-vf", f"{fit},format=yuv420p"]
    arguments += ["-c:v", "libx264", "-preset", "veryfast", "-crf", "26", "-c:a", "aac", "-b:a", "128k", "-ac", "2"]
    arguments += ["-movflags", "+faststart", "-f", "mp4", file_url(partial)]
    try:
        run_command(arguments, seconds=PREVIEW_SECONDS_LIMIT)
    except CommandFailed as error:
        partial.unlink(missing_ok=True)
        raise UnreadableMedia(f"{shown(path)} cannot be decoded: {error}") from error
    partial.replace(out)
