"""A bundle of tiny real networks, the kinds of `models/mini`, with seeded random weights."""

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


def write_tiny_bundle(folder: Path, **facts: Any) -> Path:
    """Write a bundle of 64 px that runs some hundred frames a second; `facts` override its bundle.json."""
    torch.manual_seed(0)
    config = {
        "format": 1,
        "name": "tiny",
        "title": "Tiny",
        "description": "random weights",
        "license_note": "none",
        "resolution": RESOLUTION,
        "default_steps": 2,
        "default_guidance": 1.0,
        **facts,
    }
    encoder = MelAudioEncoder(channels=16, dilations=(1,), num_shape_components=8)
    unet_config = UNetConfig(
        in_channels=3 * LATENT_CHANNELS + 1,
        out_channels=LATENT_CHANNELS,
        block_out_channels=(32, 32),
        down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
        layers_per_block=1,
        attention_head_dim=2,
        cross_attention_dim=encoder.width,
        norm_num_groups=8,
        motion_module_resolutions=(1,),
        motion_module_kwargs=MotionModuleConfig(num_attention_heads=2, zero_initialize=False),
    )
    vae = SpaceToDepthAutoencoder(
        latent_channels=LATENT_CHANNELS, widths=(16, 16, 8), blocks=(1, 1, 1), scaling_factor=0.1
    )
    unet = UNet3DConditionModel(unet_config)
    nn.init.normal_(unet.conv_out.weight, std=0.1)  # it starts at zero, which would make all results alike
    _save(folder / "unet", unet, unet_config.to_dict())
    _save(folder / "vae", vae, {**vae.config, "_class_name": "SpaceToDepthAutoencoder"})
    _save(folder / "audio_encoder", encoder, {**encoder.config, "_class_name": "MelAudioEncoder"})
    official_scheduler().save_pretrained(folder / "scheduler")
    (folder / "bundle.json").write_text(json.dumps(config))
    cv2.imwrite(str(folder / "mask.png"), (official_mask(RESOLUTION)[0, 0] * 255).round().astype(np.uint8))
    return folder


def _save(folder: Path, network: nn.Module, config: dict[str, Any]) -> None:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, folder / "model.safetensors")
