"""The total loss of a U-Net's step: on latents, on decoded frames, and of a discriminator, if the recipe has one.

L = simple L_simple + sync L_sync + lpips L_lpips + trepa L_trepa (arXiv:2412.09262, section 3.4); the discriminator
(latent_discriminator.py), which the paper does not have, keeps the small bundle's mouths sharp.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from latentsync_core.diffusion.latents import Autoencoder
from latentsync_core.models.checkpoint import read_state_dict
from latentsync_core.training.decoded_losses import DecodedLoss, Estimate, weight_of
from latentsync_core.training.latent_discriminator import Adversary, LatentDiscriminator, balance
from latentsync_core.training.processes import ALONE, Processes
from latentsync_core.training.reconstruction import predict_clean, reconstruction_loss, sample_timesteps
from latentsync_core.training.unet_recipe import UNetRecipe
from latentsync_core.training.unet_windows import Batch


class UNetLosses:
    """The losses of a step; teaches the discriminator too, if the recipe has one.

    Args:
        unet: the network that learns.
        scheduler: of the noise.
        mask: (1, 1, h, w) at the size of the latents, 1 = keep.
        weights: (1, 1, 1, h, w) of `loss_weights`.
        vae: decodes for the losses on frames.
        decoded: those losses, of `load_decoded_losses`.
        processes: that train together.
    """

    def __init__(
        self,
        unet: nn.Module,
        scheduler: Any,
        mask: Tensor,
        weights: Tensor,
        recipe: UNetRecipe,
        vae: Autoencoder | None = None,
        decoded: Mapping[str, DecodedLoss] | None = None,
        processes: Processes = ALONE,
    ) -> None:
        self._unet, self._scheduler, self._mask, self._weights, self._recipe = unet, scheduler, mask, weights, recipe
        self._vae, self._decoded = vae, decoded or {}
        self._shown = weights > weights.min()  # where the result is taken from the prediction
        config = recipe.model
        discriminator = LatentDiscriminator(config["out_channels"], config["cross_attention_dim"])
        if recipe.init_discriminator_from:
            discriminator.load_state_dict(read_state_dict(Path(recipe.init_discriminator_from)))
        discriminator.to(weights.device)
        self.adversary = Adversary(discriminator, recipe.discriminator_rate, recipe.precision, processes)

    def __call__(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Losses by name, not weighted; "total" is what is minimised; `step` is the number of steps done."""
        recipe = self._recipe
        num_timesteps = self._scheduler.config.num_train_timesteps
        timesteps = sample_timesteps(len(batch.target), num_timesteps, recipe.timestep_power).to(batch.target.device)
        prediction = predict_clean(self._unet, self._scheduler, batch, self._mask, timesteps, recipe)
        simple = reconstruction_loss(prediction, batch.target, self._weights, self._scheduler, timesteps)
        reconstruction = recipe.losses.simple * simple
        losses = {"total": reconstruction, "reconstruction": simple.detach()}
        if recipe.adversarial_weight:
            losses |= self._of_adversary(batch, prediction, reconstruction, timesteps, step)
        for name, loss in self._of_frames(batch, prediction).items():
            losses["total"] = losses["total"] + weight_of(recipe.losses, name) * loss
            losses[name] = loss.detach()
        return losses

    def _of_frames(self, batch: Batch, prediction: Tensor) -> dict[str, Tensor]:
        """The losses on decoded frames by name."""
        if not self._decoded:
            return {}
        assert self._vae is not None  # they come together
        assert batch.pictures is not None
        assert batch.mel is not None
        checkpointing = self._recipe.gradient_checkpointing
        estimate = Estimate(
            prediction, batch.pictures, batch.mel, batch.audio.flatten(1).any(1), self._vae, checkpointing
        )
        return {name: loss(estimate) for name, loss in self._decoded.items()}

    def _of_adversary(
        self, batch: Batch, prediction: Tensor, reconstruction: Tensor, timesteps: Tensor, step: int
    ) -> dict[str, Tensor]:
        """The total so far with what fools the discriminator, and the discriminator's own loss."""
        shown = torch.where(self._shown, prediction, batch.target)
        # The noisiest half: what is made from nearly clean latents cannot be told from real ones.
        judged = timesteps.argsort(descending=True)[: max(1, len(timesteps) // 2)]
        real, fake, reference = (self._part(latents[judged]) for latents in (batch.target, shown, batch.reference))
        audio = rearrange(batch.audio[judged], "b f s d -> (b f) s d")
        told_apart = self.adversary.learn(real, fake, reference, audio)
        start = self._recipe.adversarial_start
        if step < start:
            return {"total": reconstruction, "discriminator": told_apart}
        fooling = self.adversary.fooling_loss(fake, reference, audio)
        ramp = min(1.0, (step - start) / max(1, start))
        weight = self._recipe.adversarial_weight * ramp * balance(reconstruction, fooling, prediction)
        return {"total": reconstruction + weight * fooling, "discriminator": told_apart}

    def _part(self, latents: Tensor) -> Tensor:
        """The lower part (B * F, C, ., w) of latents (B, C, F, h, w), where all that is generated lies."""
        height = latents.shape[-2]
        return rearrange(latents[..., 3 * height // 8 :, :], "b c f h w -> (b f) c h w")
