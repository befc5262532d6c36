"""The dense face mesh of every frame of one clip, and the mouth opening measured on it.

The pipeline needs three anchor points only; training targets and the evaluation need the lips.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from latentsync_core.face.mediapipe_backend import FOREHEAD_AND_CHIN, INNER_LIPS, FaceMesh, MediapipeBackend

MESH_POINTS = 468
LIP_POINTS = (
    61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409,
    78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415,
)  # fmt: skip
JAW_POINTS = (152, 148, 176, 149, 150, 136, 377, 400, 378, 379, 365)


def read_face_meshes(frames: Iterable[NDArray[np.uint8]], detector: MediapipeBackend) -> NDArray[np.float32]:
    """Find the mesh of the tallest face in each frame.

    Args:
        frames: (H, W, 3) uint8 RGB.

    Returns:
        (F, 468, 2) float32, pixels of the frame; NaN for a frame without a face.
    """
    found = []
    for frame in frames:
        meshes = detector.detect_meshes(frame)
        if meshes:
            found.append(max(meshes, key=_height).points[:, :2].astype(np.float32))
        else:
            found.append(np.full((MESH_POINTS, 2), np.nan, np.float32))
    return np.stack(found) if found else np.zeros((0, MESH_POINTS, 2), np.float32)


def mouth_opening(mesh: NDArray[np.floating]) -> NDArray[np.float64]:
    """Distance of the inner lips over the height of the face, (..., 468, 2) -> (...), unitless, 0 when closed."""
    points = np.asarray(mesh, np.float64)
    top, bottom = INNER_LIPS
    forehead, chin = FOREHEAD_AND_CHIN
    gap = np.linalg.norm(points[..., top, :] - points[..., bottom, :], axis=-1)
    return np.asarray(gap / np.linalg.norm(points[..., forehead, :] - points[..., chin, :], axis=-1))


def _height(mesh: FaceMesh) -> float:
    return float(np.ptp(mesh.points[:, 1]))
