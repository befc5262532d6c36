"""Silence test: does the mouth rest while nobody speaks? Our own definition.

Mean absolute change of the mouth opening from frame to frame in silent frames over that in spoken ones: 0 for a mouth
that rests, 1 for one that does not care. Silent = loudness of speech's band more than 30 dB below the loud frames (95th
percentile) in this frame and its two neighbours. Not computed with fewer than 8 silent or 8 spoken frames.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter1d

from latentsync_core.data_preparation.sync_offset import voice_loudness

SILENT_BELOW = 30.0  # dB under the loud frames
LEAST_FRAMES = 8


def silent_frames(pcm: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Say of every frame whether it is silent, (640 F,) int16 at 16 kHz -> (F,)."""
    loudness = voice_loudness(pcm)
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
