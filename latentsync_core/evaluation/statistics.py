"""Means with their count and a 95 % interval, and comparisons pair by pair."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

LEVEL = 0.95
RESAMPLES = 5000
SEED = 0
NORMAL = 1.96  # standard errors that hold 95 %


@dataclass(frozen=True)
class Estimate:
    """A mean (or another figure of all pairs), over how many pairs, and its interval; None for a single pair."""

    value: float
    count: int
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Comparison:
    """First less second, pair by pair.

    Attributes:
        difference: mean and interval; it tells the two apart where the interval leaves out 0.
        first_higher: share of the pairs in which the first one's value is higher.
    """

    difference: Estimate
    first_higher: float


def mean_estimate(values: Sequence[float]) -> Estimate | None:
    """Give mean and percentile bootstrap interval over pairs (5000 resamples, fixed seed); None without values."""
    if not values:
        return None
    data = np.asarray(values, np.float64)
    if len(data) == 1:
        return Estimate(float(data[0]), 1)
    draws = np.random.default_rng(SEED).integers(len(data), size=(RESAMPLES, len(data)))
    low, high = np.quantile(data[draws].mean(axis=1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(data.mean()), len(data), float(low), float(high))


def jackknife_estimate(parts: Sequence[int], figure: Callable[[Sequence[int]], float]) -> Estimate | None:
    """Give a distance of all parts together, such as FID, with the interval of its jackknife standard error.

    A bootstrap would draw the same pair twice, which alone raises a Frechet distance.

    Args:
        parts: indices of the pairs.
        figure: of a choice of them, 0 or more; so is the interval.

    Returns:
        None if the figure is not a number; no interval below three parts.
    """
    value = figure(parts)
    if not np.isfinite(value):
        return None
    if len(parts) < 3:
        return Estimate(value, len(parts))
    left_out = np.array([figure([other for other in parts if other != part]) for part in parts])
    error = float(np.sqrt((len(parts) - 1) * left_out.var()))
    return Estimate(value, len(parts), max(0.0, value - NORMAL * error), value + NORMAL * error)


def compare(first: Sequence[float], second: Sequence[float]) -> Comparison | None:
    """Compare two systems' values of the same pairs, in the same order; None without pairs."""
    differences = [a - b for a, b in zip(first, second, strict=True)]
    estimate = mean_estimate(differences)
    if estimate is None:
        return None
    return Comparison(estimate, float(np.mean([difference > 0 for difference in differences])))
