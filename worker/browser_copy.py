"""What browsers play, and a copy of what they do not."""

from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from latentsync_core.errors import UnreadableMedia
from latentsync_core.media.ffmpeg import INPUT_LIMITS, CommandFailed, file_url, run_command, shown
from latentsync_core.media.preview import make_preview
from latentsync_core.media.probe import PICTURE_FORMATS, MediaInfo

COPY_SECONDS_LIMIT = 300.0
THUMBNAIL_SIDE = 320  # pixels

PICTURES = {"png", "jpeg", "webp"}
#: container -> video codecs, sound codecs that Chromium, Firefox and Safari all play in it
VIDEOS = {
    "mov": ({"h264"}, {"aac", "mp3"}),
    "matroska": ({"vp8", "vp9"}, {"opus", "vorbis"}),
}
SOUNDS = {
    "mov": {"aac", "mp3"},
    "mp3": {"mp3"},
    "wav": {"pcm_s16le", "pcm_u8"},
    "flac": {"flac"},
    "aac": {"aac"},
}
EIGHT_BIT = {"yuv420p", "yuvj420p"}


def plays_in_browsers(info: MediaInfo) -> bool:
    """Tell whether every common browser plays the file as it is."""
    container = info.container.split(",")[0]
    if info.video is None:
        return info.audio is not None and info.audio.codec in SOUNDS.get(container, set())
    if info.video.is_picture:
        return container in PICTURES
    videos, sounds = VIDEOS.get(container, (set(), set()))
    sound_plays = info.audio is None or info.audio.codec in sounds
    return info.video.codec in videos and info.video.pix_fmt in EIGHT_BIT and sound_plays


def make_browser_copy(info: MediaInfo, out: Path) -> None:
    """Write a PNG of a picture, an mp4 of anything else; it appears only when it is complete.

    Raises:
        UnreadableMedia: if the file cannot be decoded.
    """
    if info.video is not None and info.video.is_picture:
        _copy_picture(info.path, out)
        return
    if info.video is not None:
        make_preview(info.path, out)
        return
    partial = out.with_name(f"{out.name}.part")
    arguments = ["ffmpeg", "-v", "error", "-nostdin", "-y", *INPUT_LIMITS, "-i", file_url(info.path), "-map", "0:a:0"]
    arguments += ["-c:a", "aac", "-b:a", "128k", "-ac", "2", "-movflags", "+faststart", "-f", "mp4", file_url(partial)]
    try:
        run_command(arguments, seconds=COPY_SECONDS_LIMIT)
    except CommandFailed as error:
        partial.unlink(missing_ok=True)
        raise UnreadableMedia(f"{shown(info.path)} cannot be decoded: {error}") from error
    partial.replace(out)


def make_thumbnail(path: Path, out: Path) -> None:
    """Write a small JPEG of a picture, or of a video's beginning; it appears only when it is complete.

    Raises:
        UnreadableMedia: if the file cannot be decoded.
    """
    partial = out.with_name(f"{out.name}.part")
    try:
        with Image.open(path, formats=PICTURE_FORMATS) as picture:
            picture.draft("RGB", (2 * THUMBNAIL_SIDE, 2 * THUMBNAIL_SIDE))
            upright = ImageOps.exif_transpose(picture).convert("RGB")
            upright.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
            upright.save(partial, format="JPEG", quality=85)
    except UnidentifiedImageError:
        _thumbnail_of_video(path, partial)
    except (OSError, SyntaxError, ValueError) as error:
        raise UnreadableMedia(f"{shown(path)} cannot be decoded: {error}") from error
    partial.replace(out)


def _thumbnail_of_video(path: Path, out: Path) -> None:
    fit = f"scale={THUMBNAIL_SIDE}:{THUMBNAIL_SIDE}:force_original_aspect_ratio=decrease"
    arguments = ["ffmpeg", "-v", "error", "-nostdin", "-y", *INPUT_LIMITS, "-i", file_url(path), "-map", "0:v:0"]
    arguments += ["-frames:v", "1", "-vf", f"{fit},format=yuvj420p", "-c:v", "mjpeg", "-f", "mjpeg", file_url(out)]
    try:
        run_command(arguments, seconds=COPY_SECONDS_LIMIT)
    except CommandFailed as error:
        raise UnreadableMedia(f"{shown(path)} cannot be decoded: {error}") from error


def _copy_picture(path: Path, out: Path) -> None:
    partial = out.with_name(f"{out.name}.part")
    try:
        with Image.open(path) as picture:
            ImageOps.exif_transpose(picture).convert("RGB").save(partial, format="PNG")
    except (OSError, SyntaxError, ValueError) as error:
        partial.unlink(missing_ok=True)
        raise UnreadableMedia(f"{shown(path)} cannot be decoded: {error}") from error
    partial.replace(out)
