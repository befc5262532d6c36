"""Alignment: the similarity that brings a face upright into the model's crop (arXiv:2412.09262, section 3).

Geometry of the reference: three anchors are fitted to a template in a canvas of 210 x 280 pixels (at 256), which is
then resized to a square. Here the two resamplings are one, in float64 positions, with whole source pixels averaged
where the face is larger than the crop. Not taken over: rounding of the anchors to whole pixels, float16, and the
"smoothing" that adds a bias in units of standard deviations to a translation in pixels.
"""

from typing import Final

import numpy as np

from latentsync_core.face.landmarks import FloatArray, UInt8Image
from latentsync_core.face.sampling import compose_affine, resize_affine, sample_affine

BASE_RESOLUTION: Final = 256
CANVAS_SIZE: Final = (210, 280)  # (width, height) at 256: 2.8 * (75, 100)
TEMPLATE: Final[FloatArray] = 2.8 * np.array([[17.0, 20.0], [58.0, 20.0], [37.5, 40.0]])  # left brow, right brow, nose
OUTSIDE: Final = 127  # grey, what the models see outside the frame


def fit_similarity(points: FloatArray, template: FloatArray = TEMPLATE) -> FloatArray:
    """Fit rotation, scale and shift from three anchors to the template.

    Both sets are centred and divided by their standard deviation; the rotation is the orthogonal Procrustes solution
    (Schoenemann 1966), always a proper one: a mirrored set is turned, never flipped.

    Args:
        points: (3, 2) frame pixels: left brow, right brow, nose.
        template: (3, 2) where they belong in the canvas.

    Returns:
        (2, 3) float64 from frame pixels to canvas pixels (210 x 280), whole numbers at pixel centres.

    Raises:
        ValueError: if the points coincide or are not finite.
    """
    points = np.asarray(points, dtype=np.float64)
    if points.shape != template.shape or not np.isfinite(points).all():
        raise ValueError(f"expected {template.shape} finite points, got {points.tolist()}")
    centre, target_centre = points.mean(axis=0), template.mean(axis=0)
    spread = (points - centre).std(ddof=1)
    target_spread = (template - target_centre).std(ddof=1)
    if spread < 1e-6:
        raise ValueError("the three anchors of a face coincide")
    u, _, vt = np.linalg.svd(((points - centre) / spread).T @ ((template - target_centre) / target_spread))
    if np.linalg.det(u @ vt) < 0:
        vt[-1] *= -1
    linear = target_spread / spread * (u @ vt).T
    return np.concatenate([linear, (target_centre - linear @ centre)[:, None]], axis=1)


def crop_matrix(matrix: FloatArray, resolution: int) -> FloatArray:
    """Turn `fit_similarity`'s map into the one from frame pixels to the square crop.

    Args:
        matrix: (2, 3) from frame to canvas.
        resolution: side R of the crop, pixels.

    Returns:
        (2, 3) from frame pixels to crop pixels. It is no similarity: the canvas is 3:4, the crop square.
    """
    scale = resolution / BASE_RESOLUTION
    width, height = int(CANVAS_SIZE[0] * scale), int(CANVAS_SIZE[1] * scale)
    return compose_affine(resize_affine(resolution / width, resolution / height), matrix * scale)


def crop_face(frame: UInt8Image, matrix: FloatArray, resolution: int = BASE_RESOLUTION) -> UInt8Image:
    """Cut the aligned face out of a frame, in one resampling.

    Args:
        frame: (H, W, 3) uint8.
        matrix: (2, 3) of `fit_similarity`.
        resolution: side R of the crop, pixels.

    Returns:
        (R, R, 3) uint8; 127 where the frame does not reach.
    """
    return sample_affine(frame, crop_matrix(matrix, resolution), (resolution, resolution), border=OUTSIDE)
