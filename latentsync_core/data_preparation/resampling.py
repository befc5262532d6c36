"""Step 2: 25 fps and 16 kHz.

The picture is not encoded again: the 25 fps grid is laid over the file's own clock and frames are taken from it
whenever they are needed. The sound is decoded once for all clips of the video.
"""

from fractions import Fraction
from math import floor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from latentsync_core.data_preparation.broken_files import SourceVideo
from latentsync_core.data_preparation.dropped import Dropped, media_errors_drop
from latentsync_core.media.audio import SAMPLE_RATE, read_speech
from latentsync_core.media.frame_grid import FrameGrid

VIDEO_FPS = 25
SAMPLES_PER_FRAME = SAMPLE_RATE // VIDEO_FPS
SOUND_MAY_LACK = 0.1  # seconds at the end, filled with silence: what encoders and containers disagree about


def resample_picture(source: SourceVideo) -> FrameGrid:
    """Lay the 25 fps grid over a file; a file of 25 fps keeps its own."""
    if source.grid.fps == VIDEO_FPS:
        return source.grid
    num_frames = max(1, round(source.grid.num_frames / source.grid.fps * VIDEO_FPS))
    return FrameGrid(Fraction(VIDEO_FPS), num_frames, source.grid.start, is_resampled=True)


def resample_sound(source: SourceVideo, path: Path) -> int:
    """Write the sound as (N,) int16 at 16 kHz, and say for how many frames it lasts.

    Raises:
        Dropped: if there is no sound to these pictures, or it is silent.
    """
    with media_errors_drop():
        pcm = read_speech(source.info)
    heard = floor((len(pcm) / SAMPLE_RATE - source.sound_lead + SOUND_MAY_LACK) * VIDEO_FPS)
    num_frames = min(resample_picture(source).num_frames, heard)
    if num_frames < 1:
        raise Dropped("no sound, or silent", f"the sound ends before the picture of {source.info.path.name} begins")
    partial = path.with_name(f"{path.name}.part.npy")
    np.save(partial, (pcm * 32767).astype(np.int16))
    partial.replace(path)
    return num_frames


def cut_sound(speech: NDArray[np.int16], first_frame: int, num_frames: int, lead: float) -> NDArray[np.int16]:
    """Give the sound of a stretch of frames.

    Args:
        speech: (N,) at 16 kHz, the whole track.
        first_frame: at 25 fps; it may lie outside the track, as when the sound is shifted.
        num_frames: how many.
        lead: seconds of sound before frame 0.

    Returns:
        (640 * num_frames,); zeros where the track does not reach.
    """
    start = round(lead * SAMPLE_RATE) + first_frame * SAMPLES_PER_FRAME
    stop = start + num_frames * SAMPLES_PER_FRAME
    inside = np.asarray(speech[max(0, start) : max(0, stop)])
    before = min(max(0, -start), stop - start)
    return np.pad(inside, (before, stop - start - before - len(inside)))
