"""Seam visibility: does an edge show where the generated face was pasted? Our own definition, needs no method's mask.

The changed region is where result and source differ by more than 4 grey levels after smoothing (sigma 3 px) in the
aligned 256 px crop, holes closed. Along its outline, 7 px wide, the mean gradient magnitude of the result less that of
the source, grey levels per pixel: 0 for no region or a perfect blend, positive for an edge; negative where the outline
is softer than the source. Where hardly anything but the lips changed, the outline is that of the lips.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

DIFFERS = 4.0  # grey levels
SMOOTHING = 3.0  # pixels, standard deviation
RING = 7  # pixels
LEAST_AREA = 200  # pixels of a region


def frame_seam(generated: NDArray[np.uint8], real: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Give the excess gradient of every frame, crops (F, 256, 256, 3) uint8 each -> (F,) grey levels per pixel."""
    return np.array([_seam(a, b) for a, b in zip(generated, real, strict=True)], np.float64)


def _seam(generated: NDArray[np.uint8], real: NDArray[np.uint8]) -> float:
    ours, theirs = (crop.astype(np.float32).mean(axis=-1) for crop in (generated, real))
    difference = np.abs(cv2.GaussianBlur(ours - theirs, (0, 0), SMOOTHING))
    region = (difference > DIFFERS).astype(np.uint8)
    region = cv2.morphologyEx(region, cv2.MORPH_CLOSE, np.ones((15, 15), np.uint8))
    if region.sum() < LEAST_AREA:
        return 0.0
    kernel = np.ones((RING, RING), np.uint8)
    ring = cv2.dilate(region, kernel) - cv2.erode(region, kernel)
    on_ring = ring.astype(bool)
    return float((_gradient(ours) - _gradient(theirs))[on_ring].mean())


def _gradient(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    down, right = np.gradient(grey)
    return np.hypot(down, right)
