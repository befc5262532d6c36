"""Temporal flicker: how much the lower face jumps to and fro from frame to frame. Our own definition.

Mean absolute second difference in time, |x[t-1] - 2 x[t] + x[t+1]| / 4, of the grey levels of the aligned lower face,
smoothed by 3 x 3 pixels against coding noise; 0 for a still or steadily changing picture, 127.5 for black-white-black.
The table has the result's less the source's at the same frames, as movement of the head counts in both: above 0 it
flickers, below 0 it moves less than the real face.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from latentsync_core.evaluation.metrics.psnr import lower_face


def frame_flicker(crops: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Give the flicker of every frame, (F, 256, 256, 3) uint8 -> (F,) grey levels, NaN at both ends."""
    flicker = np.full(len(crops), np.nan)
    grey = np.stack([cv2.blur(crop.astype(np.float32).mean(axis=-1), (3, 3)) for crop in lower_face(crops)])
    if len(grey) > 2:
        flicker[1:-1] = np.abs(grey[:-2] - 2 * grey[1:-1] + grey[2:]).mean(axis=(1, 2)) / 4
    return flicker
