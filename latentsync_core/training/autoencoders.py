"""An autoencoder from its folder, of either kind that bundles have, frozen."""

import json
from pathlib import Path
from typing import cast

import torch
from diffusers import AutoencoderKL

from latentsync_core.diffusion.latents import Autoencoder
from latentsync_core.errors import BadCheckpoint
from latentsync_core.models.autoencoder import SpaceToDepthAutoencoder


def load_autoencoder(folder: Path, device: torch.device) -> Autoencoder:
    """Read `config.json` and the weights beside it, in float32.

    Raises:
        BadCheckpoint: if there is no such configuration or it is of another kind.
    """
    config = folder / "config.json"
    if not config.is_file():
        raise BadCheckpoint(f"{config}: no such configuration")
    name = json.loads(config.read_text(encoding="utf-8")).get("_class_name")
    kinds = {"AutoencoderKL": AutoencoderKL, "SpaceToDepthAutoencoder": SpaceToDepthAutoencoder}
    if name not in kinds:
        raise BadCheckpoint(f"{config}: _class_name is {name!r}, known are {', '.join(kinds)}")
    return cast(Autoencoder, kinds[name].from_pretrained(folder).eval().requires_grad_(False).to(device))
