"""How close a generated lower face is to the real one, and how sharp: PSNR, SSIM, sharpness ratio."""

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

Crops = NDArray[np.uint8]
LOWER_FACE = (slice(128, 248), slice(36, 220))  # rows, columns of the aligned 256 px crop: the mini mask's box
MOUTH = (slice(140, 200), slice(72, 184))


def lower_face_psnr(generated: Crops, real: Crops) -> float:
    """Mean PSNR in dB over frames, aligned crops (F, 256, 256, 3) uint8."""
    scores = peak_signal_noise_ratio(
        _region(generated), _region(real), data_range=1.0, reduction="elementwise_mean", dim=(1, 2, 3)
    )
    return float(scores)


def lower_face_ssim(generated: Crops, real: Crops) -> float:
    """Mean SSIM (Gaussian window, sigma 1.5) over frames, aligned crops (F, 256, 256, 3) uint8."""
    return float(structural_similarity_index_measure(_region(generated), _region(real), data_range=1.0))  # type: ignore[arg-type]


def sharpness_ratio(generated: Crops, real: Crops) -> float:
    """Mean gradient magnitude around the mouth, generated over real; aligned crops (F, 256, 256, 3) uint8."""
    return _gradient(generated) / _gradient(real)


def _region(crops: Crops) -> torch.Tensor:
    rows, columns = LOWER_FACE
    return rearrange(torch.from_numpy(crops[:, rows, columns].copy()).float() / 255, "f h w c -> f c h w")


def _gradient(crops: Crops) -> float:
    rows, columns = MOUTH
    grey = crops[:, rows, columns].astype(np.float64).mean(-1)
    down, right = np.diff(grey, axis=1)[:, :, :-1], np.diff(grey, axis=2)[:, :-1]
    return float(np.hypot(down, right).mean())
