"""LMD: how far generated lip landmarks lie from the real ones (Chen et al., arXiv:1803.10404).

Protocol: reconstruction; 40 lip points of mediapipe's mesh in both videos, carried into the aligned 256 px face by the
source's own alignment, each frame's points centred on their mean (so that where the mouth is does not count, only its
shape); mean Euclidean distance over points and frames.
Normalisation: pixels of the aligned 256 px face, in which an eye's outer corner is about 90 px from the other.
Published values use other landmark sets and unstated units: ours compare with ours only.
"""

import numpy as np
from numpy.typing import NDArray

from latentsync_core.data_preparation.face_mesh import LIP_POINTS
from latentsync_core.face.alignment import crop_matrix

SIDE = 256


def frame_lmd(
    generated: NDArray[np.float32], real: NDArray[np.float32], fits: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Give the distance in every frame.

    Args:
        generated: (F, 468, 2) frame pixels of the result, NaN where there is no face; `real` likewise.
        fits: (F, 2, 3) of the source.

    Returns:
        (F,) pixels of the aligned 256 px face; NaN where either has no face.
    """
    scores = []
    for ours, theirs, fit in zip(generated, real, fits, strict=True):
        matrix = crop_matrix(fit, SIDE)
        a, b = (_centred_lips(mesh.astype(np.float64), matrix) for mesh in (ours, theirs))
        scores.append(np.linalg.norm(a - b, axis=1).mean())
    return np.array(scores, np.float64)


def _centred_lips(mesh: NDArray[np.float64], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    lips = mesh[list(LIP_POINTS)] @ matrix[:, :2].T
    return np.asarray(lips - lips.mean(axis=0))
