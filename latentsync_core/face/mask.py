"""The fixed mask: which part of the aligned crop is generated (arXiv:2412.09262, section 3).

One mask for every frame and every person, so that its shape cannot betray the mouth below it.
Polarity, here and in the published bundles' picture: 1 (white) = the pixel is KEPT, 0 (black) = it is
generated; diffusers' inpainting convention is the reverse.
"""

from math import ceil, floor
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from latentsync_core.errors import BadCheckpoint

Float32Array = NDArray[np.float32]

DRAWN_RESOLUTION: Final = 256
# Generated columns, both ends included, as (row, first, last): straight lines between the rows.
# Above row 128 the nose between the cheeks is kept.
CHEEK_ROWS: Final = (95, 127)
CHEEKS: Final = ((9, 77), (178, 246))
LOWER_FACE: Final = (
    (128, 9, 247),
    (140, 10, 246),
    (160, 11, 245),
    (175, 15, 241),
    (190, 24, 231),
    (205, 37, 219),
    (220, 57, 202),
    (235, 87, 173),
    (242, 131, 152),
)


def official_mask(resolution: int = DRAWN_RESOLUTION) -> Float32Array:
    """Draw the mask of the published LatentSync models.

    Args:
        resolution: side R of the aligned crop, pixels.

    Returns:
        (1, 1, R, R) float32 in [0, 1], 1 = keep, 0 = generate; values between only on its edge, and none at 256.
    """
    mask = np.full((DRAWN_RESOLUTION, DRAWN_RESOLUTION), 255, dtype=np.uint8)
    first_row, last_row = CHEEK_ROWS
    for first, last in CHEEKS:
        mask[first_row : last_row + 1, first : last + 1] = 0
    rows, firsts, lasts = np.array(LOWER_FACE).T
    for row in range(rows[0], rows[-1] + 1):
        first = floor(np.interp(row, rows, firsts))  # outwards: the true edge bulges between the rows
        last = ceil(np.interp(row, rows, lasts))
        mask[row, first : last + 1] = 0
    return _to_resolution(mask, resolution)


def load_mask(path: Path, resolution: int) -> Float32Array:
    """Read a bundle's mask picture: white = keep, black = generate.

    Args:
        path: a picture, square.
        resolution: side R of the aligned crop, pixels.

    Returns:
        (1, 1, R, R) float32 in [0, 1], 1 = keep, 0 = generate.

    Raises:
        BadCheckpoint: if the file is no square picture, or keeps or generates every pixel.
    """
    mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) if path.is_file() else None
    if mask is None or mask.shape[0] != mask.shape[1]:
        raise BadCheckpoint(f"{path} is not a square picture; a mask is white where pixels are kept, black elsewhere")
    if mask.min() > 127 or mask.max() < 128:
        raise BadCheckpoint(f"{path} keeps or generates every pixel; a mask needs white (kept) and black (generated)")
    return _to_resolution(np.asarray(mask, dtype=np.uint8), resolution)


def _to_resolution(mask: NDArray[np.uint8], resolution: int) -> Float32Array:
    if mask.shape[0] != resolution:  # Lanczos over 8 x 8 pixels, as the models were trained
        mask = np.asarray(cv2.resize(mask, (resolution, resolution), interpolation=cv2.INTER_LANCZOS4), dtype=np.uint8)
    return mask.astype(np.float32)[None, None] / np.float32(255)
