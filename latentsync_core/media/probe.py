"""What a media file holds, and whether we accept it. No torch here: the web page probes uploads.

Videos and sound are read by ffprobe, pictures by Pillow (which knows EXIF orientation and cannot be talked into
reading other files). Sizes are upright: after the rotation that phones write as metadata.
"""

import json
import warnings
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from latentsync_core.errors import NoSpeech, UnreadableMedia
from latentsync_core.media.ffmpeg import INPUT_LIMITS, CommandFailed, file_url, run_command, shown

PROBE_SECONDS = 30.0
PICTURE_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
STILL_FPS = Fraction(25)  # a picture becomes a video at the rate the models were trained at
EXIF_ORIENTATION = 0x0112
EXIF_SIDEWAYS = (5, 6, 7, 8)


@dataclass(frozen=True)
class MediaLimits:
    """What is accepted; a deployment may choose others.

    Attributes:
        max_bytes: size of the file.
        max_seconds: length of picture or sound.
        max_pixels: width times height of a video (the default takes 4096 x 2304).
        max_picture_pixels: width times height of a still picture, which is reduced before use.
        min_side: shortest side of the picture, in pixels.
    """

    max_bytes: int = 4 * 2**30
    max_seconds: float = 3600.0
    max_pixels: int = 4096 * 2304
    max_picture_pixels: int = 64_000_000
    min_side: int = 64


@dataclass(frozen=True)
class VideoInfo:
    """The picture of a file.

    Attributes:
        width: pixels of the upright picture, as height.
        fps: average frame rate; STILL_FPS for a picture.
        num_frames: as the container says or as length and rate suggest; 1 for a picture.
        rotation: degrees clockwise by which the stored picture is turned to stand upright: 0, 90, 180 or 270.
        color_space: matrix as ffprobe names it ("bt709"), "unknown" if untagged; the other colour tags likewise.
        color_range: "tv", "pc" or "unknown".
        sample_aspect_ratio: width of a pixel over its height, of the upright picture.
        is_picture: True for a still picture file.
    """

    width: int
    height: int
    fps: Fraction
    num_frames: int
    rotation: int
    codec: str
    pix_fmt: str
    color_space: str = "unknown"
    color_range: str = "unknown"
    color_primaries: str = "unknown"
    color_transfer: str = "unknown"
    sample_aspect_ratio: Fraction = Fraction(1)
    is_picture: bool = False


@dataclass(frozen=True)
class AudioInfo:
    """The sound of a file: codec and its profile ("LC"), sample rate in Hz, channels, start and duration in seconds."""

    codec: str
    profile: str
    sample_rate: int
    channels: int
    start: float
    duration: float


@dataclass(frozen=True)
class MediaInfo:
    """One file: container as ffprobe names it, duration in seconds (0 for a picture), its first video and audio."""

    path: Path
    container: str
    duration: float
    video: VideoInfo | None
    audio: AudioInfo | None

    def require_video(self) -> VideoInfo:
        """Give the picture, or say that there is none.

        Raises:
            UnreadableMedia: if the file holds no video stream.
        """
        if self.video is None:
            raise UnreadableMedia(f"{shown(self.path)} holds no picture. Choose a video or a picture file.")
        return self.video

    def require_audio(self) -> AudioInfo:
        """Give the sound, or say that there is none.

        Raises:
            NoSpeech: if the file holds no audio stream.
        """
        if self.audio is None:
            raise NoSpeech(f"{shown(self.path)} has no sound track. Choose a file in which someone speaks.")
        return self.audio


def probe_media(path: Path, limits: MediaLimits = MediaLimits()) -> MediaInfo:
    """Read what a file holds.

    Raises:
        UnreadableMedia: if it is missing, empty, not media, broken, or breaks a limit; in plain words.
    """
    path = Path(path)
    if not path.is_file():
        raise UnreadableMedia(f"{shown(path)} does not exist or is not a file.")
    num_bytes = path.stat().st_size
    if num_bytes == 0:
        raise UnreadableMedia(f"{shown(path)} is empty.")
    if num_bytes > limits.max_bytes:
        raise UnreadableMedia(
            f"{shown(path)} has {num_bytes / 2**20:.0f} MiB; at most {limits.max_bytes / 2**20:.0f} MiB are accepted."
        )
    info = _probe_picture(path) or _probe_stream_file(path)
    _check_limits(info, limits)
    return info


def _probe_picture(path: Path) -> MediaInfo | None:
    """Read the header of a still picture; None if the file is something else."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit follows
            with Image.open(path, formats=PICTURE_FORMATS) as picture:
                sideways = picture.getexif().get(EXIF_ORIENTATION) in EXIF_SIDEWAYS
                width, height = picture.size
                codec, mode = str(picture.format).lower(), picture.mode
    except UnidentifiedImageError:
        return None
    except Image.DecompressionBombError as error:
        raise UnreadableMedia(f"{shown(path)} is too large a picture: {error}") from error
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises for broken headers
        raise UnreadableMedia(f"{shown(path)} is a broken picture: {error}") from error
    if sideways:
        width, height = height, width
    video = VideoInfo(width, height, STILL_FPS, 1, 0, codec, mode, is_picture=True)
    return MediaInfo(path, codec, 0.0, video, None)


def _probe_stream_file(path: Path) -> MediaInfo:
    entries = _ffprobe(path, ["-show_format", "-show_streams"])
    streams = entries.get("streams", [])
    audio_entry = next((s for s in streams if s.get("codec_type") == "audio" and s.get("sample_rate")), None)
    video_entry = next((s for s in streams if s.get("codec_type") == "video" and not _is_cover(s)), None)
    if video_entry is None and audio_entry is None:
        raise UnreadableMedia(f"{shown(path)} holds neither picture nor sound.")
    container = entries.get("format", {})
    duration = _seconds(container.get("duration"))
    if duration <= 0:
        duration = _measure_duration(path)
    video = _video_info(path, video_entry, duration) if video_entry else None
    audio = _audio_info(audio_entry, duration) if audio_entry else None
    return MediaInfo(path, str(container.get("format_name", "")), duration, video, audio)


def _ffprobe(path: Path, what: list[str]) -> dict[str, Any]:
    arguments = ["ffprobe", "-v", "error", *INPUT_LIMITS, *what, "-of", "json", "-i", file_url(path)]
    try:
        entries: dict[str, Any] = json.loads(run_command(arguments, seconds=PROBE_SECONDS))
    except CommandFailed as error:
        reason = str(error).splitlines()[-1].replace(file_url(path), "").lstrip(": ")
        raise UnreadableMedia(
            f"{shown(path)} is not a video, picture or sound file that can be read ({reason})."
        ) from error
    return entries


def _is_cover(stream: dict[str, Any]) -> bool:
    """Tell the cover picture of a music file from a video."""
    return bool(stream.get("disposition", {}).get("attached_pic"))


def _video_info(path: Path, stream: dict[str, Any], duration: float) -> VideoInfo:
    width, height = int(stream.get("width", 0)), int(stream.get("height", 0))
    if width <= 0 or height <= 0:
        raise UnreadableMedia(f"{shown(path)} holds a video stream without a size; the file is broken.")
    if any(side_data.get("dv_profile") == 5 for side_data in stream.get("side_data_list", [])):
        raise UnreadableMedia(f"{shown(path)} is Dolby Vision profile 5, which is not supported. Export it as H.264.")
    rotation = _rotation(stream)
    pixel_aspect = _fraction(stream.get("sample_aspect_ratio", "1:1").replace(":", "/")) or Fraction(1)
    if rotation in (90, 270):
        width, height, pixel_aspect = height, width, 1 / pixel_aspect
    fps = _fraction(stream.get("avg_frame_rate")) or _fraction(stream.get("r_frame_rate")) or STILL_FPS
    length = _seconds(stream.get("duration")) or duration
    return VideoInfo(
        width=width,
        height=height,
        fps=fps,
        num_frames=int(stream.get("nb_frames", 0)) or max(1, round(length * fps)),
        rotation=rotation,
        codec=str(stream.get("codec_name", "unknown")),
        pix_fmt=str(stream.get("pix_fmt", "unknown")),
        color_space=str(stream.get("color_space", "unknown")),
        color_range=str(stream.get("color_range", "unknown")),
        color_primaries=str(stream.get("color_primaries", "unknown")),
        color_transfer=str(stream.get("color_transfer", "unknown")),
        sample_aspect_ratio=pixel_aspect,
    )


def _audio_info(stream: dict[str, Any], duration: float) -> AudioInfo:
    return AudioInfo(
        codec=str(stream.get("codec_name", "unknown")),
        profile=str(stream.get("profile", "unknown")),
        sample_rate=int(stream["sample_rate"]),
        channels=int(stream.get("channels", 0)),
        start=_seconds(stream.get("start_time")),
        duration=_seconds(stream.get("duration")) or duration,
    )


def _rotation(stream: dict[str, Any]) -> int:
    """Read the display matrix: ffprobe gives degrees counter-clockwise, some files only the old `rotate` tag."""
    for side_data in stream.get("side_data_list", []):
        if "rotation" in side_data:
            return round(-float(side_data["rotation"]) / 90) * 90 % 360
    return round(_seconds(stream.get("tags", {}).get("rotate")) / 90) * 90 % 360


def _measure_duration(path: Path) -> float:
    """Find the end of a file whose container does not tell its length, by its packets."""
    packets = _ffprobe(path, ["-show_entries", "packet=pts_time,dts_time,duration_time"]).get("packets", [])
    times = [_seconds(p.get("pts_time", p.get("dts_time"))) for p in packets]
    if not times:
        return 0.0
    return max(times) - min(times) + _seconds(packets[-1].get("duration_time"))


def _seconds(text: Any) -> float:
    try:
        return float(text)
    except (TypeError, ValueError):
        return 0.0


def _fraction(text: Any) -> Fraction | None:
    """Read "30000/1001"; None for what ffprobe writes when it does not know ("0/0", "N/A")."""
    try:
        value = Fraction(str(text))
    except (ValueError, ZeroDivisionError):
        return None
    return value if value > 0 else None


def _check_limits(info: MediaInfo, limits: MediaLimits) -> None:
    name = shown(info.path)
    if info.duration > limits.max_seconds:
        raise UnreadableMedia(
            f"{name} is {info.duration:.0f} seconds long; at most {limits.max_seconds:.0f} are accepted."
        )
    video = info.video
    if video is None:
        return
    size = f"{video.width} x {video.height} pixels"
    if video.width * video.height > (limits.max_picture_pixels if video.is_picture else limits.max_pixels):
        raise UnreadableMedia(f"{name} has {size}, which is more than is accepted. Scale it down first.")
    if min(video.width, video.height) < limits.min_side:
        raise UnreadableMedia(f"{name} has {size}; at least {limits.min_side} on each side are needed.")
