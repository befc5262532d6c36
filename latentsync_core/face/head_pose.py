"""Turning a reference face into the pose of another frame, so that a network need not learn to turn heads.

A head far from the camera moves under an affine camera: where its points land in one frame is a linear function of
their place (x, y) and depth in another (Tomasi and Kanade 1992). The function is fitted to points that speech does not
move, so the reference keeps its own lips and jaw, and nothing is learnt from the other frame's mouth. Depths come from
a mean face.
"""

from functools import cache
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from latentsync_core.face.landmarks import FloatArray, UInt8Image

#: Numbers of the mesh's points that speech hardly moves: forehead, temples, eye corners, nose, cheekbones.
STILL_POINTS: Final = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 109, 67, 103, 54, 21, 162, 127, 234,
    33, 133, 263, 362, 168, 6, 197, 195, 5, 4, 1, 19, 94, 2, 98, 97, 326, 327, 129, 358, 48, 278,
    116, 123, 50, 36, 345, 352, 280, 266, 117, 118, 119, 101, 346, 347, 348, 330,
)  # fmt: skip
#: Those of lips, cheeks and jaw, whose depth only is of interest.
MOVED_POINTS: Final = (
    61, 291, 0, 17, 37, 267, 84, 314, 18, 200, 199, 83, 313, 182, 406, 43, 273, 57, 287,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 377, 400, 378, 379, 365, 397, 288, 361, 323,
    205, 425, 187, 411, 207, 427, 212, 432, 192, 416, 204, 424,
)  # fmt: skip
POSE_POINTS: Final = STILL_POINTS + MOVED_POINTS
MOUTH_CORNERS: Final = (61, 291)  # of MOVED_POINTS

_MEAN_FACE = Path(__file__).with_name("mean_face.npy")  # (468, 3), made by scripts/make_mean_face.py
_GRID = 32  # places along a side at which the shift is computed
_REACH = 0.06  # of the side: how far a point's depth counts
_FAR = 0.1  # of the side: pose distance up to which a face is turned wholly; from twice that on it is left as it is


def head_points(mesh: FloatArray) -> FloatArray:
    """Pick what this module needs of a mesh (..., 468, 2 or more): (..., P, 2)."""
    return mesh[..., POSE_POINTS, :2]


def pose_distance(points: FloatArray, others: FloatArray) -> FloatArray:
    """Root mean square distance (...,) of the still points of faces (..., P, 2) and (..., P, 2), in their pixels."""
    still = len(STILL_POINTS)
    return np.asarray(np.sqrt(((points - others)[..., :still, :] ** 2).sum(-1).mean(-1)))


def turn_head(crop: UInt8Image, points: FloatArray, wanted: FloatArray) -> UInt8Image:
    """Redraw an aligned face in the pose of another frame's face; lips and jaw open as they are.

    Args:
        crop: (R, R, 3) uint8, the aligned face.
        points: (P, 2) its `head_points`, pixels of the crop.
        wanted: (P, 2) those of the other face in its own crop.

    Returns:
        (R, R, 3) uint8.
    """
    side = crop.shape[0]
    share = float(np.clip(2 - pose_distance(points, wanted) / (_FAR * side), 0, 1))
    place = np.column_stack([points, _depths(points), np.ones(len(points))])  # (P, 4)
    still = len(STILL_POINTS)
    movement, *_ = np.linalg.lstsq(place[:still], wanted[:still], rcond=None)
    turned = points + share * (place @ movement - points)
    return _draw(crop, turned, points - turned)


@cache
def _mean_face() -> FloatArray:
    shape = np.load(_MEAN_FACE).astype(np.float64)[list(POSE_POINTS)]
    return np.asarray((shape - shape.mean(0)) / shape.std())


def _depths(points: FloatArray) -> FloatArray:
    """Depth (P,) of each point in the direction of view, in units of the mean face's size."""
    face, still = _mean_face(), len(STILL_POINTS)
    camera, *_ = np.linalg.lstsq(np.column_stack([face, np.ones(len(face))])[:still], points[:still], rcond=None)
    view = np.cross(camera[:3, 0], camera[:3, 1])
    return np.asarray(face @ (view / np.linalg.norm(view)))


def _draw(crop: UInt8Image, places: FloatArray, shifts: FloatArray) -> UInt8Image:
    """Draw (R, R, 3) from the crop, each pixel from where the shifts (P, 2) of the places (P, 2) around it say."""
    side = crop.shape[0]
    centres = (np.arange(_GRID) + 0.5) * side / _GRID - 0.5
    along_x, along_y = ((centres[:, None] - places[:, axis]) ** 2 for axis in (0, 1))  # (G, P) each
    closeness = -(along_y[:, None] + along_x[None]).astype(np.float32) / (2 * (_REACH * side) ** 2)  # (G, G, P)
    weights = np.exp(closeness - closeness.max(axis=-1, keepdims=True))  # far from all points the nearest one decides
    coarse = weights @ shifts.astype(np.float32) / weights.sum(axis=-1, keepdims=True)
    shift = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    columns, rows = _positions(side)
    drawn = cv2.remap(
        crop, columns + shift[..., 0], rows + shift[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(drawn, dtype=np.uint8)


@cache
def _positions(side: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    columns, rows = np.meshgrid(np.arange(side, dtype=np.float32), np.arange(side, dtype=np.float32))
    return columns, rows
