"""Windows of held-out people made from noise by the denoising loop, as a user would see their mouths."""

from collections.abc import Callable

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from latentsync_core.diffusion.denoise import Denoiser, denoise
from latentsync_core.diffusion.latents import Autoencoder, decode_latents, mask_at_latents, spatial_factor
from latentsync_core.diffusion.noise import shared_noise
from latentsync_core.training.devices import autocast
from latentsync_core.training.unet_recipe import UNetRecipe
from latentsync_core.training.unet_windows import Batch

SEED = 0  # of the noise, the same in every run
DECODED_AT_ONCE = 8  # frames


class WindowGenerator:
    """Generates windows; draws nothing from torch's own generator.

    Args:
        vae: decodes; frozen.
        mask: (1, 1, R, R), 1 = keep; the generated picture is shown in the hole only.
        on_step: called at every denoising step; what it raises ends the loop.
    """

    def __init__(
        self, recipe: UNetRecipe, vae: Autoencoder, mask: Tensor, device: torch.device, on_step: Callable[[], None]
    ) -> None:
        self._recipe, self._vae, self._device, self._on_step = recipe, vae, device, on_step
        self._mask = mask.to(device)
        self._small_mask = mask_at_latents(self._mask, spatial_factor(vae))
        self._scheduler = DDIMScheduler.from_config(recipe.scheduler)  # of its own: the loop sets its timesteps

    @torch.no_grad()
    def latents(self, unet: Denoiser, window: Batch) -> Tensor:
        """Clean latents (1, C, F, h, w) of a window alone in its batch."""
        window = window.to(self._device)
        _, channels, _, height, width = window.target.shape
        validation = self._recipe.validation
        with autocast(self._device, self._recipe.precision):
            return denoise(
                unet,
                self._scheduler,
                noise=shared_noise(channels, height, width, SEED),
                mask=self._small_mask,
                masked=window.masked,
                reference=window.reference,
                audio=window.audio[0],
                steps=validation.denoising_steps,
                guidance=validation.guidance,
                residual_reference=self._recipe.residual_reference,
                on_step=lambda _: self._on_step(),
            )

    @torch.no_grad()
    def show(self, latents: Tensor, pictures: Tensor) -> Tensor:
        """Decoded latents (1, C, F, h, w) in the hole of real pictures (1, 3, F, R, R), in [-1, 1] on the device."""
        parts = latents[0].transpose(0, 1).split(DECODED_AT_ONCE)
        decoded = torch.cat([decode_latents(self._vae, part).float() for part in parts]).transpose(0, 1)
        mask = self._mask[:, :, None]
        return pictures.to(self._device) * mask + decoded[None].clamp(-1, 1) * (1 - mask)
