"""A small U-Net's configuration, recipe, batch and mask."""

import torch

from latentsync_core.training.recipe import build_config
from latentsync_core.training.unet_recipe import UNetRecipe
from latentsync_core.training.unet_windows import Batch

MODEL = {
    "in_channels": 13,
    "out_channels": 4,
    "block_out_channels": (32, 32),
    "down_block_types": ("DownBlock3D", "CrossAttnDownBlock3D"),
    "up_block_types": ("CrossAttnUpBlock3D", "UpBlock3D"),
    "layers_per_block": 1,
    "attention_head_dim": 2,
    "cross_attention_dim": 8,
    "norm_num_groups": 8,
    "use_inflated_groupnorm": True,
    "use_motion_module": False,
}
SCHEDULER = {"prediction_type": "sample", "clip_sample": False}
LATENTS_ONLY = {"sync": 0, "lpips": 0, "trepa": 0}


def recipe(tmp_path, **changes) -> UNetRecipe:
    paths = dict.fromkeys(
        ("data_dir", "run_dir", "vae_dir", "audio_encoder_dir", "mask_path", "cache_dir"), str(tmp_path)
    )
    values = {**paths, "model": MODEL, "scheduler": SCHEDULER, "losses": LATENTS_ONLY, **changes}
    return build_config(UNetRecipe, values, "test")


def some_batch(batch_size: int = 2, frames: int = 1) -> Batch:
    generator = torch.Generator().manual_seed(0)
    target, masked, reference = torch.randn(3, batch_size, 4, frames, 8, 8, generator=generator)
    return Batch(target, masked, reference, torch.randn(batch_size, frames, 10, 8, generator=generator))


def half_mask() -> torch.Tensor:
    mask = torch.ones(1, 1, 64, 64)
    mask[..., 32:, :] = 0
    return mask
