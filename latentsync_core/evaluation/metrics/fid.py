"""FID (arXiv:1706.08500): Frechet distance of Inception-v3 features (2048) of generated and real faces.

Protocol: aligned 256 px crops of every frame that shows a face; all results of one mode against all their sources.
The network is the TensorFlow one of the original, as NVIDIA's TorchScript file (inception-2015-12-05.pt), which takes
(B, 3, H, W) uint8 and resizes by itself; it is given by path. FID falls with the number of frames: rows of one table
have about the same number, other papers' tables another one.

The stand-in, "mini-VAE Frechet distance", is the same distance over means and deviations of the mini autoencoder's
latents in quarters of the crop, every fifth frame. It ranks blur and wrong colours; it is no FID and has another scale.
"""

from collections.abc import Callable

import numpy as np
import torch
from einops import rearrange, reduce
from numpy.typing import NDArray
from torch import Tensor

from latentsync_core.diffusion.latents import Autoencoder, encode_to_latents

BATCH = 8
STAND_IN_STEP = 5  # of frames
CELLS = 2  # the stand-in pools the crop's latents in 2 x 2 cells

Crops = NDArray[np.uint8]
Features = NDArray[np.float32]


def picture_features(network: Callable[..., Tensor], crops: Crops) -> Features:
    """Give Inception's features of crops (F, 256, 256, 3) uint8 -> (F, D)."""
    return _in_batches(crops, lambda batch: network(batch, return_features=True))


def latent_features(vae: Autoencoder, crops: Crops) -> Features:
    """Give the stand-in's features of crops (F, 256, 256, 3) uint8 -> (F / 5, 8 C): C latent channels."""

    def embed(batch: Tensor) -> Tensor:
        latents = encode_to_latents(vae, batch.float() / 127.5 - 1)
        cells = rearrange(latents, "b c (y h) (x w) -> b c y x (h w)", y=CELLS, x=CELLS)
        both = torch.stack([reduce(cells, "b c y x n -> b c y x", "mean"), cells.std(dim=-1)])
        return rearrange(both, "s b c y x -> b (s c y x)")

    return _in_batches(crops[::STAND_IN_STEP], embed)


@torch.no_grad()
def _in_batches(crops: Crops, embed: Callable[[Tensor], Tensor]) -> Features:
    parts = []
    for start in range(0, len(crops), BATCH):
        batch = rearrange(torch.from_numpy(crops[start : start + BATCH].copy()), "f h w c -> f c h w")
        parts.append(embed(batch).float().numpy())
    return np.concatenate(parts) if parts else np.zeros((0, 1), np.float32)
