"""The models that are measured: a bundle by name or folder, or the published architecture with seeded weights.

`official-256` and `official-512` have every layer of LatentSync 1.5 and 1.6 (U-Net, Stable Diffusion's autoencoder,
Whisper tiny) and random weights: as fast and as large as the real ones, and no picture worth looking at.
"""

from typing import Any

import torch
from diffusers import AutoencoderKL

from latentsync_core.audio.whisper_encoder import WhisperAudioEncoder, WhisperEncoderConfig
from latentsync_core.bundle import Bundle, choose_device, load_bundle, official_scheduler
from latentsync_core.bundle_catalog import BundleConfig
from latentsync_core.face.mask import official_mask
from latentsync_core.models.unet import UNet3DConditionModel
from latentsync_core.models.unet_config import UNetConfig

OFFICIAL = {"official-256": 256, "official-512": 512}
SEED = 0
#: config.json of stabilityai/sd-vae-ft-mse
AUTOENCODER = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 256,
}


def measured_bundle(name: str, device: str, dtype: str | None = None) -> Bundle:
    """Load or make a bundle.

    Args:
        name: "official-256", "official-512", or what `load_bundle` knows.
        device: "cpu", "cuda" or "auto".
        dtype: of U-Net and autoencoder, e.g. "bfloat16"; None = what the product takes on this device.
    """
    weight_type = None if dtype is None else getattr(torch, dtype)
    if name in OFFICIAL:
        return _seeded_official(name, OFFICIAL[name], choose_device(device), weight_type)
    return load_bundle(name, device=device, dtype=weight_type)


@torch.no_grad()
def _seeded_official(name: str, resolution: int, device: torch.device, dtype: torch.dtype | None) -> Bundle:
    dtype = dtype or (torch.float16 if device.type == "cuda" else torch.float32)
    torch.manual_seed(SEED)
    with device:
        unet = UNet3DConditionModel(UNetConfig()).to(dtype)
        vae: Any = AutoencoderKL(**AUTOENCODER)
        audio_encoder = WhisperAudioEncoder(WhisperEncoderConfig())
    torch.nn.Module.to(vae, dtype=dtype)
    return Bundle(
        name=name,
        config=BundleConfig(name, name, "the published architecture, seeded random weights", "none", resolution),
        unet=unet.eval().requires_grad_(False),
        vae=vae.eval().requires_grad_(False),
        audio_encoder=audio_encoder.eval().requires_grad_(False),
        scheduler=official_scheduler(),
        mask=torch.from_numpy(official_mask(resolution)).to(device),
        device=device,
        dtype=dtype,
    )
