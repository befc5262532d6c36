"""Paste-back: the generated lower face returns into its frame.

Differs from the reference, which warps the whole crop over the whole frame, erodes and blurs a mask of the frame's size
and cuts twice to whole levels (0.97 levels darker): here only the mask's hole is replaced, only the face's rectangle
of the frame is touched, the edge is soft, colours are matched (colour_match.py), values are rounded.
Pixels outside stay identical.
"""

from functools import lru_cache
from math import ceil, floor
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from latentsync_core.face.alignment import crop_face, crop_matrix
from latentsync_core.face.colour_match import apply_colour_shift, measure_colour_shift
from latentsync_core.face.landmarks import FloatArray, UInt8Image
from latentsync_core.face.sampling import compose_affine, invert_affine, sample_affine, shift_affine

# The edge is soft from a little inside the hole to as far outside as the mask leaves room for (9 px of 256):
# outwards the model decoded what is in the frame anyway, inwards the frame still shows the old mouth's chin.
SOFT_INSIDE: Final = 3 / 256  # of the crop's side
SOFT_OUTSIDE: Final = 8 / 256

Float32Array = NDArray[np.float32]
GeneratedFace = NDArray[np.uint8] | NDArray[np.float32]


def paste_face(
    frame: UInt8Image,
    face: GeneratedFace,
    matrix: FloatArray,
    mask: Float32Array,
    *,
    colour_shift: Float32Array | None = None,
    paste_mask: Float32Array | None = None,
    opacity: float = 1.0,
    crop: UInt8Image | None = None,
) -> UInt8Image:
    """Put a generated face into its frame.

    Args:
        frame: (H, W, 3) uint8; not changed.
        face: (R, R, 3) uint8, or float32 in [0, 1]: the decoded crop as a whole, kept pixels included, as the
            colours are compared there.
        matrix: (2, 3) of `fit_similarity`, with which the crop was made.
        mask: (R, R) or (1, 1, R, R) float32, 1 = keep, 0 = generate.
        colour_shift: of `measure_shift`, e.g. an average over time; None = measured on this frame.
        paste_mask: like `mask`, 1 = the frame shows, 0 = the face, between = both; None = the hole with a soft edge.
            A model may generate more than is shown: its cheeks and collar need not be pasted.
        opacity: of the face, in [0, 1]; 0 leaves the frame as it is.
        crop: (R, R, 3) uint8 of `crop_face` with this matrix, if it is at hand: saves drawing it once more.

    Returns:
        (H, W, 3) uint8, a new frame; identical to `frame` where the face is not shown.
    """
    generated = _to_levels(face)
    resolution = generated.shape[0]
    mask = _flat_mask(mask, resolution)
    to_crop = crop_matrix(matrix, resolution)
    if colour_shift is None:
        colour_shift = measure_shift(frame, face, matrix, mask, crop)
    generated = apply_colour_shift(generated, colour_shift)

    alpha, bounds = _soft_hole(mask.tobytes(), resolution) if paste_mask is None else _shown(paste_mask, resolution)
    pasted = frame.copy()
    x0, y0, x1, y1 = _region_in_frame(bounds, to_crop, frame.shape[1], frame.shape[0])
    if x0 >= x1 or y0 >= y1:
        return pasted
    to_region = compose_affine(shift_affine(-x0, -y0), invert_affine(to_crop))
    size = (x1 - x0, y1 - y0)
    drawn = np.clip(sample_affine(generated, to_region, size, bicubic=True), 0.0, 255.0)
    weight = opacity * np.clip(sample_affine(alpha, to_region, size, border=0), 0.0, 1.0)[..., None]
    below = frame[y0:y1, x0:x1].astype(np.float32)
    pasted[y0:y1, x0:x1] = np.rint(below + weight * (drawn - below)).astype(np.uint8)
    return pasted


def measure_shift(
    frame: UInt8Image, face: GeneratedFace, matrix: FloatArray, mask: Float32Array, crop: UInt8Image | None = None
) -> Float32Array:
    """Measure one frame's colour shift, (64, 64, 3) float32 levels; arguments as in `paste_face`."""
    generated = _to_levels(face)
    resolution = generated.shape[0]
    original = crop_face(frame, matrix, resolution) if crop is None else crop
    return measure_colour_shift(original.astype(np.float32), generated, _flat_mask(mask, resolution))


def _to_levels(face: GeneratedFace) -> Float32Array:
    if face.ndim != 3 or face.shape[0] != face.shape[1] or face.shape[2] != 3:
        raise ValueError(f"a face is (R, R, 3), got {face.shape}")
    if face.dtype == np.uint8:
        return face.astype(np.float32)
    return np.clip(face, 0.0, 1.0).astype(np.float32) * np.float32(255)


def _flat_mask(mask: Float32Array, resolution: int) -> Float32Array:
    flat = np.ascontiguousarray(np.asarray(mask, dtype=np.float32).reshape(mask.shape[-2:]))
    if flat.shape != (resolution, resolution):
        raise ValueError(f"the face is {resolution} pixels wide, its mask {flat.shape}")
    return flat


@lru_cache(maxsize=4)
def _soft_hole(mask_bytes: bytes, resolution: int) -> tuple[Float32Array, tuple[int, int, int, int]]:
    """Give the weight of the generated face (R, R) and the box (x0, y0, x1, y1) outside which it is 0."""
    mask = np.frombuffer(mask_bytes, dtype=np.float32).reshape(resolution, resolution)
    hole = (mask < 0.5).astype(np.uint8)
    outside = cv2.distanceTransform(1 - hole, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    inside = cv2.distanceTransform(hole, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    distance = np.where(hole > 0, 0.5 - inside, outside - 0.5) / resolution  # negative inside
    ramp = np.clip((SOFT_OUTSIDE - distance) / (SOFT_INSIDE + SOFT_OUTSIDE), 0.0, 1.0)
    alpha = np.asarray(ramp * ramp * (3 - 2 * ramp), dtype=np.float32)  # no kink at either end
    return alpha, _bounds(alpha)


def _shown(paste_mask: Float32Array, resolution: int) -> tuple[Float32Array, tuple[int, int, int, int]]:
    """Give the same for a paste mask."""
    alpha = 1 - _flat_mask(paste_mask, resolution)
    return alpha, _bounds(alpha)


def _bounds(alpha: Float32Array) -> tuple[int, int, int, int]:
    x, y, width, height = cv2.boundingRect((alpha > 0).astype(np.uint8))
    return x, y, x + width, y + height


def _region_in_frame(
    bounds: tuple[int, int, int, int], to_crop: FloatArray, width: int, height: int
) -> tuple[int, int, int, int]:
    """Give the frame's rectangle (x0, y0, x1, y1) that a box of the crop covers, cut to the frame."""
    x0, y0, x1, y1 = bounds
    corners = np.array([(x, y, 1.0) for x in (x0 - 1, x1) for y in (y0 - 1, y1)]) @ invert_affine(to_crop).T
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    return max(0, floor(left)), max(0, floor(top)), min(width, ceil(right) + 1), min(height, ceil(bottom) + 1)
