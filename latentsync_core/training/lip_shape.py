"""Lip shape: what a face mesh says about speech, freed of the person and, mostly, of the pose."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentsync_core.data_preparation.face_mesh import JAW_POINTS, LIP_POINTS, mouth_opening
from latentsync_core.face.mediapipe_backend import NOSE


@dataclass(frozen=True)
class LipShapeBasis:
    """Principal directions of lip movement, learnt on training clips.

    Attributes:
        directions: (K, 2 * points), unit vectors, strongest first.
        scales: (K + 1,) standard deviations of the opening and of each component, over the training clips.
    """

    directions: NDArray[np.float64]
    scales: NDArray[np.float64]

    def project(self, mesh: NDArray[np.floating]) -> NDArray[np.float32]:
        """Meshes of one clip (F, 468, 2) -> (F, K + 1): opening and K components, each with unit deviation.

        The clip's own median is zero: what is left is movement, not the shape of the person's mouth.
        """
        values = np.concatenate([mouth_opening(mesh)[:, None], _lip_vectors(mesh) @ self.directions.T], axis=1)
        return ((values - np.median(values, axis=0)) / self.scales).astype(np.float32)


def fit_lip_shape(meshes: list[NDArray[np.floating]], num_components: int = 7) -> LipShapeBasis:
    """Principal components of lip and chin movement over clips, each a (F, 468, 2) array."""
    vectors = [_lip_vectors(mesh) for mesh in meshes]
    moved = np.concatenate([v - np.median(v, axis=0) for v in vectors])
    _, _, directions = np.linalg.svd(moved - moved.mean(0), full_matrices=False)
    directions = directions[:num_components]
    opening = np.concatenate([mouth_opening(mesh) - np.median(mouth_opening(mesh)) for mesh in meshes])
    return LipShapeBasis(directions, np.concatenate([[opening.std()], (moved @ directions.T).std(0)]))


def _lip_vectors(mesh: NDArray[np.floating]) -> NDArray[np.float64]:
    """(F, 468, 2) -> (F, 2 * points): lips around their own centre, and the chin below the nose."""
    lips = np.asarray(mesh[:, list(LIP_POINTS)], np.float64)
    lips = lips - lips.mean(axis=1, keepdims=True)
    chin = np.asarray(mesh[:, list(JAW_POINTS), 1], np.float64).mean(1)
    nose = np.asarray(mesh[:, list(NOSE), 1], np.float64).mean(1)
    return np.concatenate([lips.reshape(len(mesh), -1), 3 * (chin - nose)[:, None]], axis=1)
