"""Between pixels and the latents that diffusion works on (LatentSync, arXiv:2412.09262, 3.1).

Nothing here knows how many channels a latent has or how much smaller than the picture it is.
"""

from typing import Any, Protocol

import torch
from torch import Tensor


class Autoencoder(Protocol):
    """What diffusers' `AutoencoderKL` and our `SpaceToDepthAutoencoder` have in common.

    `config` carries scaling_factor, latent_channels and, possibly, shift_factor.
    """

    config: Any
    dtype: Any
    device: Any

    def encode(self, x: Tensor) -> Any: ...

    def decode(self, z: Tensor) -> Any: ...

    def state_dict(self) -> dict[str, Any]: ...


def encode_to_latents(vae: Autoencoder, pixels: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Encode pictures to diffusion latents.

    The latent is a sample of the encoder's distribution, not its mean: the published U-Nets learnt with samples.

    Args:
        vae: the autoencoder.
        pixels: (N, 3, H, W) in [-1, 1], on any device and in any float dtype.
        generator: source of the sample's randomness.

    Returns:
        (N, C, h, w) of about unit variance, in the autoencoder's dtype and on its device.
    """
    distribution = vae.encode(pixels.to(device=vae.device, dtype=vae.dtype)).latent_dist
    return (distribution.sample(generator) - _shift(vae)) * vae.config.scaling_factor


def decode_latents(vae: Autoencoder, latents: Tensor) -> Tensor:
    """Decode diffusion latents (N, C, h, w) to pictures (N, 3, H, W), about [-1, 1] but not clipped."""
    latents = latents.to(device=vae.device, dtype=vae.dtype)
    return vae.decode(latents / vae.config.scaling_factor + _shift(vae)).sample


def mask_at_latents(mask: Tensor, factor: int) -> Tensor:
    """Bring a pixel mask (1, 1, R, R) to the latents' size (1, 1, R / factor, R / factor).

    Nearest sampling: every `factor`-th pixel from the first one, as the published U-Nets saw it.
    """
    return mask[..., ::factor, ::factor]


def spatial_factor(vae: Autoencoder) -> int:
    """Say how many pixels one latent covers along a side."""
    own = getattr(vae, "vae_scale_factor", None)
    return own if own is not None else 2 ** (len(vae.config.block_out_channels) - 1)


def _shift(vae: Autoencoder) -> float:
    return getattr(vae.config, "shift_factor", None) or 0.0
