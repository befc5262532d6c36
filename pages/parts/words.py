"""Numbers and names as people read them."""

import math
import re
from datetime import datetime

from latentsync_core.progress import Stage
from worker.job_folder import display_name

STAGE_WORDS: dict[Stage, str] = {
    "load": "Loading the model",
    "probe": "Reading your files",
    "audio": "Listening to the speech",
    "face": "Following the face",
    "diffusion": "Drawing the lips",
    "encode": "Writing the video",
    "finish": "Adding the sound",
}

_FORBIDDEN_IN_FILE_NAMES = re.compile(r'[\\/:*?"<>|]+')


def duration_words(seconds: float) -> str:
    """Say a time span: "0.4 s", "12 s", "1 min 20 s", "2 h 5 min"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def time_left_words(seconds: float | None) -> str:
    """Say how long something still takes, no finer than anyone can know it."""
    if seconds is None or not math.isfinite(seconds):
        return ""
    if seconds < 5:
        return "a few seconds left"
    step = 5 if seconds < 60 else 10 if seconds < 600 else 60
    return f"about {duration_words(max(step, round(seconds / step) * step))} left"


def size_words(num_bytes: float) -> str:
    """Say a file size in decimal units: "640 kB", "12.5 MB"."""
    for unit in ("bytes", "kB", "MB"):
        if num_bytes < 999.5:
            digits = 0 if unit in ("bytes", "kB") or num_bytes >= 100 else 1
            return f"{num_bytes:.{digits}f} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:.1f} GB"


def age_words(then: datetime, now: datetime) -> str:
    """Say how long ago something was: "just now", "5 minutes ago", "yesterday", "3 days ago"."""
    seconds = (now - then).total_seconds()
    if seconds < 45:
        return "just now"
    if seconds < 3600:
        return _ago(max(1, round(seconds / 60)), "minute")
    if seconds < 24 * 3600:
        return _ago(max(1, round(seconds / 3600)), "hour")
    days = round(seconds / 86400)
    return "yesterday" if days == 1 else _ago(days, "day")


def _ago(count: int, unit: str) -> str:
    return f"{count} {unit}{'' if count == 1 else 's'} ago"


def download_name(video_name: str) -> str:
    """Name the result after the video it came from: "Anna.MOV" becomes "Anna (lip-synced).mp4"."""
    name = display_name(video_name)
    stem = _FORBIDDEN_IN_FILE_NAMES.sub("_", name.rpartition(".")[0] or name).strip(" ._") or "video"
    return f"{stem} (lip-synced).mp4"
