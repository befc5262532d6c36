"""Sampling an image through an affine map, once and without aliasing."""

from math import ceil, hypot
from typing import Final, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from latentsync_core.face.landmarks import FloatArray

MAX_SUPERSAMPLING: Final = 8

Image = TypeVar("Image", NDArray[np.uint8], NDArray[np.float32])


def invert_affine(matrix: FloatArray) -> FloatArray:
    """Invert an affine map (2, 3), float64."""
    (a, b, x), (c, d, y) = matrix.tolist()
    determinant = a * d - b * c
    a, b, c, d = d / determinant, -b / determinant, -c / determinant, a / determinant
    return np.array([[a, b, -a * x - b * y], [c, d, -c * x - d * y]])


def compose_affine(after: FloatArray, before: FloatArray) -> FloatArray:
    """Give the affine map (2, 3) that applies `before`, then `after`."""
    return np.concatenate([after[:, :2] @ before[:, :2], after[:, :2] @ before[:, 2:] + after[:, 2:]], axis=1)


def resize_affine(scale_x: float, scale_y: float) -> FloatArray:
    """Give the map (2, 3) that a resize applies to positions whose pixel centres are whole numbers."""
    return np.array([[scale_x, 0.0, (scale_x - 1) / 2], [0.0, scale_y, (scale_y - 1) / 2]])


def shift_affine(x: float, y: float) -> FloatArray:
    """Give the map (2, 3) that adds (x, y)."""
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y]])


def shrinkage_of(matrix: FloatArray) -> float:
    """Give how many image pixels one result pixel spans at most, along the map's two axes."""
    inverse = invert_affine(matrix)
    return max(hypot(inverse[0, 0], inverse[1, 0]), hypot(inverse[0, 1], inverse[1, 1]))


def sample_affine(
    image: Image, matrix: FloatArray, size: tuple[int, int], *, border: int | None = None, bicubic: bool = False
) -> Image:
    """Draw the part of an image that an affine map brings into a rectangle.

    Where the map shrinks, each result pixel is the mean over its own footprint: the map is sampled on a grid k times
    finer, fine enough to miss no image pixel, and averaged k x k. Where it does not, k is 1.

    Args:
        image: (H, W) or (H, W, C), uint8 or float32.
        matrix: (2, 3) from image pixels to result pixels, whole numbers at pixel centres.
        size: (width, height) of the result.
        border: value outside the image; None repeats its edge.
        bicubic: sharper than bilinear where the map enlarges, but not exact on ramps, and it may overshoot.

    Returns:
        (height, width) or (height, width, C) of the image's type; uint8 is rounded.
    """
    shrinkage = shrinkage_of(matrix)
    finer = min(MAX_SUPERSAMPLING, max(1, ceil(shrinkage - 0.25)))
    drawn = cv2.warpAffine(
        image,
        compose_affine(resize_affine(finer, finer), matrix),
        (size[0] * finer, size[1] * finer),
        flags=cv2.INTER_CUBIC if bicubic and shrinkage < 1 else cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE if border is None else cv2.BORDER_CONSTANT,
        borderValue=(border or 0,) * 4,
    )
    if finer > 1:
        drawn = cv2.resize(drawn, size, interpolation=cv2.INTER_AREA)
    return np.asarray(drawn, dtype=image.dtype)
