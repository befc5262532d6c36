"""The first loss of a U-Net: noise is added to latents, and the network tells what they were (arXiv:2412.09262, 3.1).

The one-step estimate of the clean latents is what every loss looks at, whatever the network predicts (the noise, as
the published ones do; the clean latents, as the small bundle's does). Where the small bundle differs from the paper:
the loss counts the mask's hole most, and noisy timesteps come more often.
"""

import math
from typing import Any

import torch
from einops import reduce
from torch import Tensor, nn

from latentsync_core.diffusion.unet_input import unet_input
from latentsync_core.errors import BadOption
from latentsync_core.training.devices import autocast
from latentsync_core.training.unet_recipe import RESOLUTION, UNetRecipe
from latentsync_core.training.unet_windows import Batch

MOUTH = ((144, 208), (64, 192))  # rows, columns of the aligned crop where lips and teeth are


def loss_weights(mask: Tensor, height: int, recipe: UNetRecipe) -> Tensor:
    """How much each latent cell counts, (1, 1, 1, h, h) with mean 1: the share of it that is shown from the output."""
    hole = hole_shares(mask, height)
    rows, columns = (slice(bounds[0] * height // RESOLUTION, bounds[1] * height // RESOLUTION) for bounds in MOUTH)
    weights = recipe.outside_weight + recipe.hole_weight * hole
    weights[rows, columns] += recipe.mouth_weight
    return (weights / weights.mean())[None, None, None]


def hole_shares(mask: Tensor, height: int) -> Tensor:
    """The share of each latent cell (h, h) that lies in the hole of a mask (1, 1, R, R), 1 = keep."""
    return reduce(1 - mask, "1 1 (h p) (w q) -> h w", "mean", h=height, w=height)


def sample_timesteps(batch_size: int, num_timesteps: int, power: float = 0.45) -> Tensor:
    """Timesteps (B,) int64, uniform for a power of 1; below, the noisy ones come more often.

    There the mouth is decided, and only there must one listen.
    """
    return (num_timesteps * torch.rand(batch_size) ** power).long()


def add_window_noise(
    latents: Tensor, scheduler: Any, timesteps: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """Noisy latents (B, C, F, h, w) of timesteps (B,): half the noise's variance is shared by a window's frames.

    The noise is that of the CPU's `generator`, the same on all devices; without one, of torch's own.
    """
    shared, own = _noise_like(latents[:, :, :1], generator), _noise_like(latents, generator)
    noise = shared if latents.shape[2] == 1 else shared * math.sqrt(0.5) + own * math.sqrt(0.5)
    noisy: Tensor = scheduler.add_noise(latents, noise.expand_as(latents), timesteps)
    return noisy


def _noise_like(latents: Tensor, generator: torch.Generator | None) -> Tensor:
    if generator is None:
        return torch.randn_like(latents)
    return torch.randn(latents.shape, generator=generator).to(latents)


def estimate_clean(output: Tensor, noisy: Tensor, signal: Tensor, prediction_type: str) -> Tensor:
    """The one-step estimate of the clean latents (B, C, F, h, w).

    Args:
        output: of the network, (B, C, F, h, w): noise (epsilon), clean latents (sample) or velocity (v_prediction).
        noisy: (B, C, F, h, w), what the network saw.
        signal: (B,) the scheduler's alphas_cumprod, the share of the variance that is not noise.
        prediction_type: of the scheduler.

    Raises:
        BadOption: for another type.
    """
    alpha, sigma = (root[:, None, None, None, None] for root in (signal.sqrt(), (1 - signal).sqrt()))
    if prediction_type == "sample":
        return output
    if prediction_type == "epsilon":
        return (noisy - sigma * output) / alpha
    if prediction_type == "v_prediction":
        return alpha * noisy - sigma * output
    raise BadOption(f"scheduler: prediction_type {prediction_type!r} is unknown: sample, epsilon or v_prediction")


def predict_clean(
    unet: nn.Module,
    scheduler: Any,
    batch: Batch,
    mask: Tensor,
    timesteps: Tensor,
    recipe: UNetRecipe,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Estimated clean latents (B, C, F, h, w) float32 from noisy ones of timesteps (B,)."""
    noisy = add_window_noise(batch.target, scheduler, timesteps, generator)
    with autocast(batch.target.device, recipe.precision):
        output = unet(unet_input(noisy, mask, batch.masked, batch.reference), timesteps, batch.audio)
    signal = scheduler.alphas_cumprod[timesteps]
    clean = estimate_clean(output.float(), noisy, signal, scheduler.config.prediction_type)
    return clean + batch.reference if recipe.residual_reference else clean


def timestep_weights(signal_to_noise: Tensor, prediction_type: str) -> Tensor:
    """Weight of the clean latents' squared error by signal-to-noise ratio, (B,).

    For noise and velocity it makes of that error the network's own: eps - eps' = sqrt(snr) (clean' - clean). For clean
    latents it is as in Min-SNR (arXiv:2303.09556) with a floor of 1: where the noisy latents show the mouth already
    nobody has to listen, and the weight hardly rises, for sharpness.
    """
    if prediction_type == "epsilon":
        return signal_to_noise
    if prediction_type == "v_prediction":
        return signal_to_noise + 1
    return signal_to_noise.clamp(min=1.0, max=1.5)


def reconstruction_loss(
    prediction: Tensor, target: Tensor, weights: Tensor, scheduler: Any, timesteps: Tensor
) -> Tensor:
    """Weighted squared error of the estimated clean latents, one number."""
    alpha = scheduler.alphas_cumprod[timesteps]
    error = reduce((prediction - target) ** 2 * weights, "b ... -> b", "mean")
    return (error * timestep_weights(alpha / (1 - alpha), scheduler.config.prediction_type)).mean()
