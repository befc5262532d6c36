"""The denoising loop: from noise to the latents of one window of frames (LatentSync, arXiv:2412.09262, 3.1)."""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from latentsync_core.diffusion.guidance import guide, is_guided, with_silence
from latentsync_core.diffusion.unet_input import unet_input


class Denoiser(Protocol):
    """A U-Net: (B, C_in, F, h, w), timestep, (B, F, S, D) -> (B, C, F, h, w)."""

    def __call__(self, sample: Tensor, timestep: Tensor, encoder_hidden_states: Tensor, /) -> Tensor: ...


def ignore_step(steps_done: int) -> None:
    """The callback of someone who does not want to know."""


@torch.no_grad()
def denoise(
    unet: Denoiser,
    scheduler: Any,
    *,
    noise: Tensor,
    mask: Tensor,
    masked: Tensor,
    reference: Tensor,
    audio: Tensor,
    steps: int,
    guidance: float,
    residual_reference: bool = False,
    on_step: Callable[[int], None] = ignore_step,
) -> Tensor:
    """Denoise one window of frames.

    The U-Net runs in the dtype and on the device of `reference`; the latents between the steps are float32,
    or float64 if `noise` is.

    Args:
        unet: the network.
        scheduler: a diffusers scheduler; its timesteps are set here, so one scheduler may serve many windows.
        noise: (1, C, F, h, w) of unit variance; one frame (1, C, 1, h, w) serves all frames.
        mask: (1, 1, h, w) at the size of the latents, 1 = keep, 0 = generate.
        masked: (1, C, F, h, w) latents of the picture with its hole.
        reference: (1, C, F, h, w) latents of the reference picture.
        audio: (F, S, D) tokens.
        steps: of the scheduler.
        guidance: classifier-free guidance scale; at most 1 runs without.
        residual_reference: the U-Net predicts the change of the clean latents against the reference latents.
        on_step: called after every step with the number of steps done; what it raises ends the loop.

    Returns:
        (1, C, F, h, w) clean latents in the dtype of the loop.
    """
    device, dtype = reference.device, reference.dtype
    scheduler.set_timesteps(steps, device=device)
    loop_dtype = torch.float64 if noise.dtype == torch.float64 else torch.float32
    latents = noise.to(device, loop_dtype).expand_as(reference) * scheduler.init_noise_sigma
    audio = audio[None].to(device, dtype)  # (1, F, S, D)
    copies = 2 if is_guided(guidance) else 1
    if copies == 2:
        audio = with_silence(audio)

    for step, timestep in enumerate(scheduler.timesteps):
        noisy = scheduler.scale_model_input(latents, timestep).to(dtype)
        sample = unet_input(noisy, mask, masked, reference)
        prediction = unet(sample.expand(copies, -1, -1, -1, -1), timestep, audio).to(loop_dtype)
        if copies == 2:
            prediction = guide(prediction, guidance)
        if residual_reference:
            prediction = prediction + reference
        latents = scheduler.step(prediction, timestep, latents).prev_sample
        on_step(step + 1)
    return latents
