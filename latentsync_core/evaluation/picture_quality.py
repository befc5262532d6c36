"""How close a generated lower face is to the real one, and how sharp: means of a clip, for the held-out study."""

import numpy as np
from numpy.typing import NDArray

from latentsync_core.evaluation.metrics.psnr import LOWER_FACE, frame_psnr, lower_face
from latentsync_core.evaluation.metrics.sharpness import sharpness_ratio
from latentsync_core.evaluation.metrics.ssim import frame_ssim

__all__ = ["LOWER_FACE", "lower_face_psnr", "lower_face_ssim", "sharpness_ratio"]

Crops = NDArray[np.uint8]


def lower_face_psnr(generated: Crops, real: Crops) -> float:
    """Mean PSNR in dB over frames, aligned crops (F, 256, 256, 3) uint8."""
    return float(frame_psnr(lower_face(generated), lower_face(real)).mean())


def lower_face_ssim(generated: Crops, real: Crops) -> float:
    """Mean SSIM (Gaussian window, sigma 1.5) over frames, aligned crops (F, 256, 256, 3) uint8."""
    return float(frame_ssim(lower_face(generated), lower_face(real)).mean())
