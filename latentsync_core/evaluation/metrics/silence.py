"""Silence tests: does the mouth rest, and close, while nobody speaks? Our own definitions.

Movement: mean absolute change of the mouth opening from frame to frame in silent frames over that in spoken ones: 0 for
a mouth that rests, 1 for one that does not care. Silent = loudness of speech's band more than 30 dB below the loud
frames (95th percentile) in this frame and its two neighbours; in a track whose loudest tenth of a second stays below
-45 dBFS every frame is silent. Not computed with fewer than 8
silent or 8 spoken frames.

Closed: share of silent frames whose mouth is less open than in four fifths of the source's real frames; the first 5
frames of every silence, in which a mouth may still be closing, and the last 2 are left out. Not computed with fewer
than 8 frames.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter1d

from latentsync_core.data_preparation.sync_offset import voice_loudness
from latentsync_core.media.audio import loudest_dbfs

SILENT_BELOW = 30.0  # dB under the loud frames
SAID_NOTHING = -45.0  # dBFS of a track's loudest tenth of a second
LEAST_FRAMES = 8
CLOSED_PERCENTILE = 20  # of the real openings
CLOSING_FRAMES, OPENING_FRAMES = 5, 2  # at either end of a silence


def silent_frames(pcm: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Say of every frame whether it is silent, (640 F,) int16 at 16 kHz -> (F,)."""
    loudness = voice_loudness(pcm)
    if loudest_dbfs(pcm.astype(np.float32) / 32768) < SAID_NOTHING:
        return np.ones(len(loudness), bool)
    quiet = loudness < np.percentile(loudness, 95) - SILENT_BELOW
    return np.asarray(minimum_filter1d(quiet, size=3, mode="nearest"))


def silence_movement(openings: NDArray[np.float64], silent: NDArray[np.bool_]) -> float:
    """Give the ratio of movements.

    Args:
        openings: (F,) generated mouth openings, NaN where no face was found.
        silent: (F,) of `silent_frames`; the longer of both is cut.

    Returns:
        0 or more; NaN if silence or speech are too short, or the mouth never moves.
    """
    length = min(len(openings), len(silent))
    change = np.abs(np.diff(openings[:length]))
    both = silent[1:length] & silent[: length - 1]
    neither = ~silent[1:length] & ~silent[: length - 1]
    resting, speaking = (change[where & ~np.isnan(change)] for where in (both, neither))
    if min(len(resting), len(speaking)) < LEAST_FRAMES or speaking.mean() == 0:
        return float("nan")
    return float(resting.mean() / speaking.mean())


def closed_in_silence(
    openings: NDArray[np.float64], silent: NDArray[np.bool_], real_openings: NDArray[np.float64]
) -> float:
    """Give the share of silent frames with a closed mouth.

    Args:
        openings: (F,) generated mouth openings, NaN where no face was found.
        silent: (F,) of `silent_frames`; the longer of both is cut.
        real_openings: (N,) of the source's real mouth.

    Returns:
        0..1; NaN if there is too little silence.
    """
    length = min(len(openings), len(silent))
    padded = np.pad(silent[:length], (CLOSING_FRAMES, OPENING_FRAMES), mode="edge")
    inner = sliding_window_view(padded, CLOSING_FRAMES + 1 + OPENING_FRAMES).all(axis=1)
    resting = openings[:length][inner & ~np.isnan(openings[:length])]
    if len(resting) < LEAST_FRAMES:
        return float("nan")
    return float((resting < np.nanpercentile(real_openings, CLOSED_PERCENTILE)).mean())
