"""Sampling an image through an affine map, once and without aliasing."""

from math import ceil, hypot

import cv2
import numpy as np

from latentsync_core.face.landmarks import FloatArray, UInt8Image

MAX_SUPERSAMPLING = 8


def invert_affine(matrix: FloatArray) -> FloatArray:
    """Invert an affine map (2, 3), float64."""
    linear = np.linalg.inv(matrix[:, :2])
    return np.concatenate([linear, -linear @ matrix[:, 2:]], axis=1)


def compose_affine(after: FloatArray, before: FloatArray) -> FloatArray:
    """Give the affine map (2, 3) that applies `before`, then `after`."""
    return np.concatenate([after[:, :2] @ before[:, :2], after[:, :2] @ before[:, 2:] + after[:, 2:]], axis=1)


def resize_affine(scale_x: float, scale_y: float) -> FloatArray:
    """Give the map (2, 3) that a resize applies to positions whose pixel centres are whole numbers."""
    return np.array([[scale_x, 0.0, (scale_x - 1) / 2], [0.0, scale_y, (scale_y - 1) / 2]])


def sample_affine(
    image: UInt8Image,
    matrix: FloatArray,
    size: tuple[int, int],
    *,
    border: int | None = None,
) -> UInt8Image:
    """Draw the part of an image that an affine map brings into a rectangle.

    Where the map shrinks, each result pixel is the mean over its own footprint: the map is sampled bilinearly on a
    grid k times finer, fine enough to miss no source pixel, and averaged k x k. Where it does not, k is 1
    and this is plain bilinear sampling.

    Args:
        image: (H, W, C) uint8.
        matrix: (2, 3) from image pixels to result pixels, whole numbers at pixel centres.
        size: (width, height) of the result.
        border: value outside the image; None repeats its edge.

    Returns:
        (height, width, C) uint8, rounded.
    """
    # Source pixels per result pixel, along the map's two axes.
    inverse = invert_affine(matrix)
    shrinkage = max(hypot(inverse[0, 0], inverse[1, 0]), hypot(inverse[0, 1], inverse[1, 1]))
    finer = min(MAX_SUPERSAMPLING, max(1, ceil(shrinkage - 0.25)))
    fine_matrix = compose_affine(resize_affine(finer, finer), matrix)
    drawn = cv2.warpAffine(
        image,
        fine_matrix,
        (size[0] * finer, size[1] * finer),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE if border is None else cv2.BORDER_CONSTANT,
        borderValue=(border or 0,) * 4,
    )
    if finer > 1:
        drawn = cv2.resize(drawn, size, interpolation=cv2.INTER_AREA)
    return np.asarray(drawn, dtype=np.uint8)
