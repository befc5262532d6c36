"""LPIPS (arXiv:1801.03924, lpips 0.1): distance of VGG-16 features; of a clip, the mean of its frames.

Protocol: aligned 256 px crops in [-1, 1], source against result, reconstruction; every fifth frame. The linear layers
come with the lpips package, VGG-16's weights by path (torchvision's vgg16-397923af.pth).
"""

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import nn

FRAME_STEP = 5

Crops = NDArray[np.uint8]


@torch.no_grad()
def mean_lpips(distance: nn.Module, generated: Crops, real: Crops) -> float:
    """Give the mean distance, crops (F, 256, 256, 3) uint8 each; 0 for identical ones."""
    pairs = zip(_to_signed(generated[::FRAME_STEP]), _to_signed(real[::FRAME_STEP]), strict=True)
    return float(np.mean([float(distance(a[None], b[None])) for a, b in pairs]))


def _to_signed(crops: Crops) -> torch.Tensor:
    return rearrange(torch.from_numpy(crops.copy()).float() / 127.5 - 1, "f h w c -> f c h w")
