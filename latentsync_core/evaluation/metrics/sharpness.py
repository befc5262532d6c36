"""Mouth sharpness: mean gradient magnitude of the grey levels around the mouth, result over source. Our own definition.

Protocol: rows 140..199, columns 72..183 of the aligned 256 px crop; 1 = as sharp as the source, below = softer. Noise
and ringing raise it, so it is read beside PSNR or FID.
"""

import numpy as np
from numpy.typing import NDArray

MOUTH = (slice(140, 200), slice(72, 184))  # rows, columns


def frame_gradient(crops: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Give the mean gradient magnitude around the mouth, (F, 256, 256, 3) uint8 -> (F,) grey levels per pixel."""
    grey = crops[:, MOUTH[0], MOUTH[1]].astype(np.float32).mean(-1)
    down, right = np.diff(grey, axis=1)[:, :, :-1], np.diff(grey, axis=2)[:, :-1]
    return np.asarray(np.hypot(down, right).mean(axis=(1, 2)), np.float64)


def sharpness_ratio(generated: NDArray[np.uint8], real: NDArray[np.uint8]) -> float:
    """Give the mean gradient of the one over that of the other, crops (F, 256, 256, 3) uint8 each."""
    return float(frame_gradient(generated).mean() / frame_gradient(real).mean())
