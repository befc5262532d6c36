"""PSNR: 10 log10(255^2 / mean squared error) in dB, over a crop's three channels; of a clip, the mean of its frames.

Protocol: reconstruction (own sound), source's frame against result's, aligned at 256 px. Reported twice: of the whole
crop, and of the lower face, where alone a result differs. 100 dB stands for identical crops, whose PSNR is infinite.
Source: torchmetrics.
"""

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torchmetrics.functional.image import peak_signal_noise_ratio

IDENTICAL_DB = 100.0
LOWER_FACE = (slice(128, 248), slice(36, 220))  # rows, columns of the aligned 256 px crop: the mini mask's box

Crops = NDArray[np.uint8]


def frame_psnr(generated: Crops, real: Crops) -> NDArray[np.float64]:
    """Give the PSNR of every frame, (F, H, W, 3) uint8 each -> (F,) dB, at most 100."""
    scores = [
        float(peak_signal_noise_ratio(a, b, data_range=1.0))
        for a, b in zip(to_unit(generated), to_unit(real), strict=True)
    ]
    return np.minimum(np.array(scores, np.float64), IDENTICAL_DB)


def lower_face(crops: Crops) -> Crops:
    """Cut aligned crops (F, 256, 256, 3) down to the lower face (F, 120, 184, 3)."""
    return crops[:, LOWER_FACE[0], LOWER_FACE[1]]


def to_unit(crops: Crops) -> torch.Tensor:
    """Turn crops (F, H, W, 3) uint8 into (F, 3, H, W) in [0, 1]."""
    return rearrange(torch.from_numpy(crops.copy()).float() / 255, "f h w c -> f c h w")
