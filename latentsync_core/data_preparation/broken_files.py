"""Step 1: remove broken files. Nothing is decoded that was not probed; three frames must really come out."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from latentsync_core.data_preparation.dropped import Dropped, media_errors_drop
from latentsync_core.media.frame_grid import FrameGrid, read_frame_grid
from latentsync_core.media.opening import open_video
from latentsync_core.media.probe import MediaInfo, MediaLimits, probe_media
from latentsync_core.media.video_reader import VideoReader

#: Raw footage may be longer and larger than what the web page takes; two hours of sound take 1.5 GB while decoded.
RAW_LIMITS = MediaLimits(max_bytes=64 * 2**30, max_seconds=2 * 3600.0)


@dataclass(frozen=True)
class SourceVideo:
    """A file that can be used.

    Attributes:
        info: as probed.
        grid: its own frames.
        sound_lead: seconds of sound before the first frame (less than 0: the sound's clock begins later).
    """

    info: MediaInfo
    grid: FrameGrid
    sound_lead: float

    @property
    def seconds(self) -> float:
        """Length of the picture."""
        return float(self.grid.num_frames / self.grid.fps)


def probe_source(path: Path) -> SourceVideo:
    """Read what a file holds, without decoding.

    Raises:
        Dropped: if it cannot be read, breaks a limit, or has no moving picture or no sound.
    """
    with media_errors_drop():
        info = probe_media(path, RAW_LIMITS)
        if info.video is None or info.video.is_picture:
            raise Dropped("no moving picture", path.name)
        info.require_audio()
        grid = read_frame_grid(info)
        return SourceVideo(info, grid, float(grid.start - _file_start(path)))


def check_source(source: SourceVideo) -> None:
    """Decode the first, the middle and the last frame.

    Raises:
        Dropped: if a frame does not come out.
    """
    last = source.grid.num_frames - 1
    with media_errors_drop(), VideoReader(source.info, source.grid) as reader:
        for number in sorted({0, last // 2, last}):
            next(iter(reader.read(number, number + 1)))


def _file_start(path: Path) -> Fraction:
    """Give the clock's time at which ffmpeg lets the sound begin, in seconds."""
    with open_video(path) as (container, _):
        return Fraction(container.start_time or 0, 1_000_000)
