"""FVD (arXiv:1812.01717): Frechet distance of I3D features of stretches of 16 generated and 16 real frames.

Protocol: aligned 256 px crops, stretches of 16 frames without overlap in which every frame has a face; all results of
one mode against all their sources. I3D (Kinetics-400) is StyleGAN-V's TorchScript file (i3d_torchscript.pt) by path; it
takes (B, 3, T, H, W) in 0..255 and resizes by itself.
"""

from collections.abc import Callable

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

STRETCH = 16  # frames


@torch.no_grad()
def video_features(
    network: Callable[..., Tensor], crops: NDArray[np.uint8], has_face: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Give I3D's features of crops (F, 256, 256, 3) uint8 -> (stretches, D); (0, 1) for too short a clip."""
    starts = [s for s in range(0, len(crops) - STRETCH + 1, STRETCH) if has_face[s : s + STRETCH].all()]
    parts = []
    for start in starts:
        stretch = torch.from_numpy(crops[start : start + STRETCH].copy()).float()
        batch = rearrange(stretch, "f h w c -> 1 c f h w")
        parts.append(network(batch, rescale=True, resize=True, return_features=True).float().numpy())
    return np.concatenate(parts) if parts else np.zeros((0, 1), np.float32)
