"""The clean latents that one prediction implies: what SyncNet, LPIPS and TREPA see in training (3.2, equation 3)."""

from torch import Tensor


def estimate_clean(noisy: Tensor, predicted_noise: Tensor, timesteps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """Take the predicted noise out in one step: (x_t - sqrt(1 - a) eps) / sqrt(a).

    Args:
        noisy: (B, C, F, h, w) latents x_t.
        predicted_noise: the same shape.
        timesteps: (B,) integers, 0..999.
        alphas_cumprod: (1000,) of the scheduler.

    Returns:
        (B, C, F, h, w) in the dtype of `noisy`; at high t a small error of the noise becomes a large one here.
    """
    alpha = alphas_cumprod.to(noisy.device)[timesteps.to(noisy.device)].to(noisy.dtype)
    alpha = alpha.reshape(-1, *[1] * (noisy.ndim - 1))
    return (noisy - (1 - alpha).sqrt() * predicted_noise) / alpha.sqrt()
