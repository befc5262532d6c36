"""Frechet distance of two Gaussians fitted to features: |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)).

With centred features A, B (rows divided by the square root of count - 1) tr (C1 C2)^(1/2) is the sum of the singular
values of A B^T: no root of a nearly singular matrix is taken, and few features of many dimensions stay cheap.
"""

import numpy as np
from numpy.typing import NDArray

LEAST = 2  # features that a covariance takes

Features = NDArray[np.floating]


def frechet_distance(first: Features, second: Features) -> float:
    """Give the distance of features (N, D) and (M, D); at least 0, NaN for fewer than two of either."""
    if min(len(first), len(second)) < LEAST:
        return float("nan")
    a, b = _spread(first), _spread(second)
    between = float(((first.mean(axis=0, dtype=np.float64) - second.mean(axis=0, dtype=np.float64)) ** 2).sum())
    cross = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return max(0.0, between + float((a**2).sum() + (b**2).sum() - 2 * cross))


def _spread(features: Features) -> NDArray[np.float64]:
    """Give a matrix of at most D rows whose square is the covariance."""
    centred = features - features.mean(axis=0, dtype=np.float64)
    centred = centred / np.sqrt(len(features) - 1)
    return np.asarray(np.linalg.qr(centred, mode="r")) if len(centred) > centred.shape[1] else centred
