"""An autoencoder from its folder, of either kind that bundles have, frozen."""

from pathlib import Path
from typing import cast

import torch
from torch import nn

from latentsync_core import bundle_parts
from latentsync_core.diffusion.latents import Autoencoder


def load_autoencoder(folder: Path, device: torch.device) -> Autoencoder:
    """Read `config.json` and the weights beside it, in float32.

    Raises:
        BadCheckpoint: if one of them is missing or of another kind.
    """
    vae = bundle_parts.load_autoencoder(folder / "config.json")
    nn.Module.to(cast(nn.Module, vae), device=device)
    return vae
