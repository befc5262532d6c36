"""The steady clock of a source: at which rate its frames are taken, and how many there are.

A source is read as a constant-rate stream: source frame n is the picture on display in the middle of the n-th
interval of 1/fps seconds. For a file of constant rate that is its n-th frame, whatever jitter its container's
rounding adds; for a variable rate, pictures are repeated (or, above MAX_FPS, skipped) so that sound stays in sync.
The packets' timestamps are read without decoding, so this costs as much as reading the file.
"""

from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from latentsync_core.errors import UnreadableMedia
from latentsync_core.media.ffmpeg import shown
from latentsync_core.media.opening import open_video
from latentsync_core.media.probe import STILL_FPS, MediaInfo

STANDARD_RATES = (
    Fraction(24000, 1001),
    Fraction(24),
    Fraction(25),
    Fraction(30000, 1001),
    Fraction(30),
    Fraction(48),
    Fraction(50),
    Fraction(60000, 1001),
    Fraction(60),
)
MIN_FPS = 12  # below, speech cannot be seen: shown at STILL_FPS
MAX_FPS = 60  # above, nothing is gained for speech: shown at MAX_FPS
JITTER = 0.3  # of an interval: how far a timestamp of a constant-rate file may be off (rounding to milliseconds)


@dataclass(frozen=True)
class FrameGrid:
    """Rate and count of the source frames, and where they begin.

    Attributes:
        fps: frames per second.
        num_frames: at least 1.
        start: seconds of the file's own clock at which frame 0 begins.
        is_resampled: True if the file's frames are repeated or skipped to get this rate.
    """

    fps: Fraction
    num_frames: int
    start: Fraction = Fraction(0)
    is_resampled: bool = False

    def time_of(self, frame: int) -> Fraction:
        """Give the middle of a frame's interval, in seconds of the file's own clock."""
        return self.start + (frame + Fraction(1, 2)) / self.fps


def read_frame_grid(info: MediaInfo) -> FrameGrid:
    """Lay the grid over a file.

    Raises:
        UnreadableMedia: if it holds no video, or a video stream without a single frame.
    """
    video = info.require_video()
    if video.is_picture:
        return FrameGrid(STILL_FPS, 1)
    times, last_duration, time_base = _packet_times(info)
    return lay_grid(times, last_duration, time_base, video.fps)


def lay_grid(times: NDArray[np.int64], last_duration: int, time_base: Fraction, nominal_fps: Fraction) -> FrameGrid:
    """Choose rate and count from timestamps.

    Args:
        times: presentation times, ascending, in units of `time_base` seconds.
        last_duration: of the last frame, same unit; 0 if unknown.
        nominal_fps: the container's average rate.
    """
    start = Fraction(int(times[0])) * time_base
    fps = next((rate for rate in _candidate_rates(nominal_fps) if _is_constant(times, time_base, rate)), None)
    if fps is not None and MIN_FPS <= fps <= MAX_FPS:
        return FrameGrid(fps, len(times), start)
    if last_duration <= 0:
        last_duration = (
            round(float(np.median(np.diff(times)))) if len(times) > 1 else round(1 / nominal_fps / time_base)
        )
    length = (int(times[-1] - times[0]) + last_duration) * time_base
    fps = _shown_rate(fps or Fraction(len(times)) / length)
    return FrameGrid(fps, max(1, round(length * fps)), start, is_resampled=True)


def _candidate_rates(nominal_fps: Fraction) -> list[Fraction]:
    """The container's rate and, because some containers round it, the standard rates close to it."""
    return [nominal_fps, *(rate for rate in STANDARD_RATES if abs(rate / nominal_fps - 1) < 0.02)]


def _is_constant(times: NDArray[np.int64], time_base: Fraction, fps: Fraction) -> bool:
    expected = np.arange(len(times)) / float(fps * time_base)
    return bool(np.abs((times - times[0]) * float(fps * time_base) - expected * float(fps * time_base)).max() <= JITTER)


def _shown_rate(average: Fraction) -> Fraction:
    """The lowest standard rate that (nearly) drops no frame of a file of this average rate."""
    if average < MIN_FPS:
        return STILL_FPS
    return next((rate for rate in STANDARD_RATES if rate >= average * Fraction(99, 100)), Fraction(MAX_FPS))


def _packet_times(info: MediaInfo) -> tuple[NDArray[np.int64], int, Fraction]:
    """Read all presentation times (ascending), the last frame's duration, and their unit, without decoding."""
    times: list[tuple[int, int]] = []
    with open_video(info.path) as (container, stream):
        time_base = stream.time_base
        try:
            for packet in container.demux(stream):
                time = packet.pts if packet.pts is not None else packet.dts
                if packet.size and not packet.is_discard and time is not None:
                    times.append((time, packet.duration or 0))
        except av.error.FFmpegError:
            pass  # a damaged tail: what was read so far counts, and the reader warns about what it cannot decode
    if not times or time_base is None:
        raise UnreadableMedia(f"{shown(info.path)} holds a video stream without a single picture.")
    times.sort()
    return np.array([time for time, _ in times], dtype=np.int64), times[-1][1], time_base
