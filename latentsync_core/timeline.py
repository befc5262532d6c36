"""Timeline: which source frame each result frame shows, and which instant of the sound it hears.

The result keeps the source's frame rate (see `media.frame_grid` for variable rates); frame i is heard at i / fps
seconds. The picture is made to fit the sound, never the other way round, unless the user asks for a cut.

Ping-pong repeats both ends (.. 8 9 9 8 .. 1 0 0 1 ..), as the reference does: the turn then has one frame at rest,
which is the gentler one - the motion slows from +1 to 0 to -1 frame per frame instead of jumping.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

from latentsync_core.options import AudioLonger, AudioShorter

ROUNDING = 0.01  # of a frame: sound that outlasts the picture by less needs no further frame


@dataclass(frozen=True)
class Timeline:
    """The result's frames.

    Attributes:
        fps: frames per second.
        sources: number of the source frame that each result frame shows.
        num_spoken: the first so many frames have sound; the rest ("pass") keeps its picture.
    """

    fps: Fraction
    sources: tuple[int, ...]
    num_spoken: int

    @property
    def num_frames(self) -> int:
        """Frames of the result."""
        return len(self.sources)

    def audio_time(self, frame: int) -> float:
        """Give the instant of the sound, in seconds, that a result frame shows."""
        return float(frame / self.fps)


def plan_timeline(
    source_frames: int,
    fps: Fraction,
    audio_seconds: float,
    audio_longer: AudioLonger = "ping-pong",
    audio_shorter: AudioShorter = "cut",
) -> Timeline:
    """Decide what every result frame shows.

    Args:
        source_frames: frames of the source, at least 1.
        fps: its frame rate, kept.
        audio_seconds: length of the sound, above 0.
        audio_longer: how the picture goes on when it is shorter than the sound.
        audio_shorter: whether it ends with the sound or goes on unchanged when it is longer.

    Raises:
        ValueError: if there is no frame or no sound.
    """
    if source_frames < 1 or not audio_seconds > 0:
        raise ValueError(f"nothing to plan: {source_frames} frames, {audio_seconds} seconds of sound")
    heard = max(1, math.ceil(audio_seconds * fps - ROUNDING))
    if heard <= source_frames:
        num_frames = heard if audio_shorter == "cut" else source_frames
        return Timeline(fps, tuple(range(num_frames)), heard)
    if audio_longer == "cut":
        heard = source_frames
    sources = tuple(_source_of(frame, source_frames, audio_longer) for frame in range(heard))
    return Timeline(fps, sources, heard)


def _source_of(frame: int, source_frames: int, audio_longer: AudioLonger) -> int:
    if audio_longer == "ping-pong":
        turn, place = divmod(frame, source_frames)
        return source_frames - 1 - place if turn % 2 else place
    if audio_longer == "loop":
        return frame % source_frames
    return min(frame, source_frames - 1)  # "freeze", and "cut", which asks for no more than there is


def is_cut(earlier: int, later: int) -> bool:
    """Tell whether two successive source frames do not follow each other in the film (a loop's jump)."""
    return abs(later - earlier) > 1


def segments_of(num_frames: int, fps: Fraction, seconds: float) -> list[range]:
    """Divide the result into segments of about so many seconds; the last may be shorter or up to half longer.

    Args:
        num_frames: frames of the result.
        fps: frames per second.
        seconds: wanted length of a segment.
    """
    length = max(1, round(seconds * fps))
    starts = [start for start in range(0, num_frames, length) if start == 0 or num_frames - start > length // 2]
    return [range(start, stop) for start, stop in zip(starts, [*starts[1:], num_frames], strict=True)]
