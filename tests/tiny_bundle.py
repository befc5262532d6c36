"""A real model bundle that is tiny: every class of the product, random weights, a few hundred kB."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from latentsync_core.audio.mel_audio_encoder import MelAudioEncoder
from latentsync_core.bundle import official_scheduler
from latentsync_core.face.mask import official_mask
from latentsync_core.models.autoencoder import SpaceToDepthAutoencoder
from latentsync_core.models.unet import UNet3DConditionModel
from latentsync_core.models.unet_config import MotionModuleConfig, UNetConfig

RESOLUTION = 64
LATENT_CHANNELS = 4


def write_tiny_bundle(folder: Path, *, resolution: int = RESOLUTION, **facts: Any) -> Path:
    """Write a bundle with seeded random weights; `facts` go into its bundle.json."""
    torch.manual_seed(0)
    encoder = MelAudioEncoder(channels=16, dilations=(1,), num_shape_components=8)
    vae = SpaceToDepthAutoencoder(latent_channels=LATENT_CHANNELS, widths=(16, 16, 16), blocks=(1, 1, 1))
    unet = UNet3DConditionModel(
        UNetConfig(
            in_channels=3 * LATENT_CHANNELS + 1,
            out_channels=LATENT_CHANNELS,
            block_out_channels=(32, 32),
            down_block_types=("CrossAttnDownBlock3D", "CrossAttnDownBlock3D"),
            up_block_types=("CrossAttnUpBlock3D", "CrossAttnUpBlock3D"),
            layers_per_block=1,
            attention_head_dim=2,
            cross_attention_dim=encoder.width,
            norm_num_groups=8,
            use_inflated_groupnorm=True,
            motion_module_resolutions=(1, 2),
            motion_module_kwargs=MotionModuleConfig(temporal_position_encoding_max_len=16),
        )
    )
    nn.init.normal_(unet.conv_out.weight, std=0.1)  # new networks start at zero
    _write_json(
        folder / "bundle.json",
        {
            "format": 1,
            "name": "tiny",
            "title": "Tiny",
            "description": "Random weights.",
            "license_note": "None.",
            "resolution": resolution,
            "default_steps": 2,
            **facts,
        },
    )
    _write_network(folder / "unet", unet, {"_class_name": "UNet3DConditionModel", **unet.config.to_dict()})
    _write_network(folder / "vae", vae, {"_class_name": "SpaceToDepthAutoencoder", **vae.config})
    _write_network(folder / "audio_encoder", encoder, {"_class_name": "MelAudioEncoder", **encoder.config})
    official_scheduler().save_pretrained(folder / "scheduler")
    mask = (official_mask(resolution)[0, 0] * 255).round().astype(np.uint8)
    cv2.imwrite(str(folder / "mask.png"), mask)
    return folder


def _write_network(folder: Path, network: nn.Module, config: dict[str, Any]) -> None:
    _write_json(folder / "config.json", config)
    save_file(network.state_dict(), folder / "model.safetensors")


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
