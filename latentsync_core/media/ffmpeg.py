"""Calling ffmpeg and ffprobe: argument lists, time limits, checked exit codes. No torch here.

Uploads are hostile until proven otherwise: only local files may be opened (a playlist inside a .mp4 could name
other files or the network), only demuxers of real media formats are allowed, and file names never meet a shell.
"""

import logging
import subprocess
from collections.abc import Sequence
from pathlib import Path

logger = logging.getLogger(__name__)

PROTOCOLS = "file,pipe"
#: Containers that hold pictures and sound themselves, with a clock. Playlists (hls, dash, concat) and image2's patterns
#: name other files; raw H.264 has no clock.
FORMATS = (
    "mov,matroska,webm,avi,mpegts,mpeg,flv,asf,mxf,dv,ivf,gif,ogg,wav,w64,mp3,aac,ac3,eac3,flac,aiff,caf,amr,au,rm,nut"
)
INPUT_LIMITS = ["-protocol_whitelist", PROTOCOLS, "-format_whitelist", FORMATS]

STDERR_LINES_KEPT = 6


class CommandFailed(Exception):
    """ffmpeg or ffprobe said no or took too long; the message is the end of its stderr."""


def file_url(path: Path) -> str:
    """Name a file so that a leading dash or a colon in its name means nothing to ffmpeg."""
    return f"file:{path}"


def shown(path: Path) -> str:
    """Give a file name for a message: quoted, and without line breaks or control characters."""
    return "'" + "".join(char if char.isprintable() else "?" for char in path.name) + "'"


def run_command(arguments: Sequence[str], *, seconds: float) -> bytes:
    """Run a program to its end and give its stdout.

    Args:
        arguments: program and arguments.
        seconds: time limit; the program is killed after it.

    Raises:
        CommandFailed: if the program is missing, exits with another code than 0, or runs into the limit.
    """
    logger.debug("run %s", arguments)
    try:
        done = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False)
    except FileNotFoundError as error:
        raise CommandFailed(f"{arguments[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(f"{arguments[0]} did not finish within {seconds:.0f} seconds") from error
    if done.returncode != 0:
        raise CommandFailed(last_lines(done.stderr) or f"{arguments[0]} ended with exit code {done.returncode}")
    return done.stdout


def last_lines(stderr: bytes) -> str:
    """Give the end of a program's stderr as text."""
    lines = [line.strip() for line in stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    return "\n".join(lines[-STDERR_LINES_KEPT:])
