"""Does the mouth open when the speech says so: correlation and spread of mouth openings."""

import numpy as np
from numpy.typing import NDArray

MAX_LAG = 2  # frames at 25 fps
STILL = 1e-9  # deviation of an opening that does not move
Openings = NDArray[np.float64]


def best_lag_correlation(generated: Openings, real: Openings, max_lag: int = MAX_LAG) -> float:
    """Highest Pearson correlation of two series of mouth openings over small shifts.

    Args:
        generated: (F,) openings of the generated mouth, NaN where no face was found.
        real: (F,) openings of the real mouth, at the same times.
        max_lag: shifts of -max_lag..max_lag frames are tried.

    Returns:
        -1..1; NaN if a series never moves or fewer than 10 frames overlap.
    """
    length = min(len(generated), len(real))
    scores = []
    for lag in range(-max_lag, max_lag + 1):
        left = generated[max(0, lag) : length + min(0, lag)]
        right = real[max(0, -lag) : length + min(0, -lag)]
        scores.append(_pearson(left, right))
    return float(np.nanmax(scores)) if not np.isnan(scores).all() else float("nan")


def spread_ratio(generated: Openings, real: Openings) -> float:
    """Standard deviation of the generated openings over that of the real ones, (F,) each; 1 is right."""
    return float(np.nanstd(generated) / np.nanstd(real))


def _pearson(left: Openings, right: Openings) -> float:
    both = ~(np.isnan(left) | np.isnan(right))
    if both.sum() < 10 or left[both].std() < STILL or right[both].std() < STILL:
        return float("nan")
    return float(np.corrcoef(left[both], right[both])[0, 1])
