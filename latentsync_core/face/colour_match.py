"""Colour match: the generated face takes the colours that its surroundings have in the frame.

An autoencoder and a short diffusion shift colours by a few levels, and where the generated part meets the frame a few
levels are a visible edge. Around the hole both pictures show the same thing, so their difference there
is that shift. It is taken as one offset per channel (the ring's median) and a smooth local rest, which
fades towards the middle of the hole, where nothing is known of it.
"""

from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

FIELD_SIDE: Final = 64  # cells of the shift's grid, whatever the crop's resolution
RING_WIDTH: Final = 0.07  # of the crop's side
REACH: Final = 3.0  # cells, Gaussian sigma by which the local rest spreads
TRUSTED_REST: Final = 16.0  # levels; beyond it the two pictures show different things (a moved chin), not a shift
LARGEST_SHIFT: Final = 48.0  # levels

Float32Array = NDArray[np.float32]


def measure_colour_shift(original: Float32Array, generated: Float32Array, mask: Float32Array) -> Float32Array:
    """Measure by how much a generated face differs in colour from the frame around the hole.

    Args:
        original: (R, R, 3) in 0..255, the aligned crop of the frame.
        generated: (R, R, 3) in 0..255, the same crop as the model decoded it, kept pixels included.
        mask: (R, R) in [0, 1], 1 = keep, 0 = generate.

    Returns:
        (64, 64, 3) float32 levels to be added to the generated face.
    """
    ring = _ring_of(mask.tobytes(), mask.shape[0])
    inside = ring > 0
    difference = original - generated
    offset = np.clip(np.median(difference[inside], axis=0), -LARGEST_SHIFT, LARGEST_SHIFT)
    rest = np.where(inside[..., None], difference - offset, 0.0).astype(np.float32)
    size = np.sqrt((rest * rest) @ np.ones(3, dtype=np.float32))
    trust = ring * np.exp(-((size / TRUSTED_REST) ** 2))
    cells = (FIELD_SIDE, FIELD_SIDE)
    weight = cv2.resize(trust, cells, interpolation=cv2.INTER_AREA)
    weighted = cv2.resize(rest * trust[..., None], cells, interpolation=cv2.INTER_AREA)
    spread_weight = cv2.GaussianBlur(weight, (0, 0), REACH)
    spread = cv2.GaussianBlur(weighted, (0, 0), REACH)
    local = spread / (spread_weight + 0.02)[..., None]
    return np.asarray(local + offset, dtype=np.float32)


def apply_colour_shift(generated: Float32Array, shift: Float32Array) -> Float32Array:
    """Add a shift of `measure_colour_shift` to a face (R, R, 3) in 0..255; the result may leave that range."""
    size = (generated.shape[1], generated.shape[0])
    return generated + np.asarray(cv2.resize(shift, size, interpolation=cv2.INTER_LINEAR), dtype=np.float32)


@lru_cache(maxsize=4)
def _ring_of(mask_bytes: bytes, resolution: int) -> Float32Array:
    """Give the kept pixels next to the hole (R, R): 1 at its edge, falling to 0 at the ring's width."""
    mask = np.frombuffer(mask_bytes, dtype=np.float32).reshape(resolution, resolution)
    kept = (mask > 0.5).astype(np.uint8)
    distance = cv2.distanceTransform(kept, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    falling = np.clip(1.0 - distance / (RING_WIDTH * resolution), 0.0, 1.0)
    return np.asarray(falling * kept, dtype=np.float32)
