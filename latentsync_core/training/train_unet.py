"""Train the U-Net (`train-unet RECIPE.yaml`): arXiv:2412.09262, section 3, the reconstruction loss of its two stages.

Stage 1 learns single frames without temporal layers, from many clips per batch; stage 2 adds the temporal layers
and trains those and the attentions on windows of consecutive frames. Where the small bundle differs from the paper: the
network predicts the clean latents, as a change of the reference's (`residual_reference`), the loss counts the
mask's hole most, and a discriminator on latents keeps the mouths sharp (latent_discriminator.py).
"""

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler
from einops import rearrange, reduce, repeat
from numpy.typing import NDArray
from torch import Tensor

from latentsync_core.audio.audio_windows import cut_audio_windows
from latentsync_core.audio.mel_audio_encoder import SHAPE_GAIN, MelAudioEncoder
from latentsync_core.diffusion.latents import mask_at_latents
from latentsync_core.errors import BadCheckpoint
from latentsync_core.face.mask import load_mask
from latentsync_core.models.autoencoder import SpaceToDepthAutoencoder
from latentsync_core.models.checkpoint import read_state_dict
from latentsync_core.models.unet import UNet3DConditionModel
from latentsync_core.models.unet_config import UNetConfig
from latentsync_core.training.checkpoint import refuse_used_folder
from latentsync_core.training.face_clips import clip_weights, read_face_clips
from latentsync_core.training.latent_cache import LatentClip, audio_states, cache_latents
from latentsync_core.training.latent_discriminator import Adversary, LatentDiscriminator, balance
from latentsync_core.training.lip_shape import fit_lip_shape
from latentsync_core.training.run_facts import describe_run
from latentsync_core.training.trainer import Schedule, Trainer

log = logging.getLogger(__name__)

RESOLUTION = 256  # of the aligned crops, pixels
MOUTH = ((144, 208), (64, 192))  # rows, columns of the aligned crop where lips and teeth are


@dataclass(frozen=True)
class UNetRecipe:
    """Everything about one U-Net run; lengths are in optimiser steps unless named otherwise."""

    data_dir: Path
    run_dir: Path
    vae_dir: Path
    audio_encoder_dir: Path
    mask_path: Path
    cache_dir: Path
    model: dict[str, Any]  # the U-Net's configuration
    scheduler: dict[str, Any]  # the DDIM scheduler's configuration
    init_from: str = ""  # weights of the stage before: its unet.pt, or a bundle's unet/model.safetensors
    trainable: tuple[str, ...] = ("",)  # name parts of the parameters that learn; "" is all
    variants: int = 2  # looks of every clip
    frame_stride: int = 3
    frames_per_clip: int = 100
    window_frames: int = 1
    steps: int = 20_000
    max_minutes: float = 60.0
    batch_size: int = 24  # windows
    learning_rate: float = 4e-4
    warmup_steps: int = 200
    weight_decay: float = 0.01
    audio_dropout: float = 0.1
    true_shape_share: float = 0.0  # of windows that hear the true lip shape in place of the predicted one
    true_shape_noise: float = 0.3  # standard deviations added to it
    context_frames: int = 2
    hole_weight: float = 1.0
    mouth_weight: float = 0.0
    outside_weight: float = 0.05
    adversarial_weight: float = 0.0  # of the discriminator's gradient, relative to the reconstruction's
    adversarial_start: int = 300  # the discriminator learns alone until then, and the weight rises as long again
    discriminator_rate: float = 1e-3
    init_discriminator_from: str = ""  # discriminator.pt of the stage before
    ema_decay: float = 0.999
    checkpoint_minutes: float = 4.0
    generated_weight: float = 0.5
    seed: int = 1


@dataclass(frozen=True)
class Batch:
    """B windows of F frames: latents (B, C, F, h, w), audio tokens (B, F, S, D)."""

    target: Tensor
    masked: Tensor
    reference: Tensor
    audio: Tensor


class WindowSampler:
    """Draws windows of cached frames and their references."""

    def __init__(
        self,
        clips: list[LatentClip],
        audio: dict[str, list[Tensor]],
        shapes: dict[str, NDArray[np.float32]],
        recipe: UNetRecipe,
    ) -> None:
        self.clips = [clip for clip in clips if len(clip.frames) >= max(2, recipe.window_frames)]
        self.audio = audio
        self.shapes = shapes
        self.recipe = recipe
        self.weights = clip_weights([clip.clip for clip in self.clips], recipe.generated_weight)

    def batch(self, step: int) -> Batch:
        """The windows of one step, a function of the step and the recipe's seed."""
        generator = np.random.default_rng([self.recipe.seed, step])
        chosen = generator.choice(len(self.clips), self.recipe.batch_size, p=self.weights)
        windows = [self._window(self.clips[index], generator) for index in chosen]
        target, masked, reference, audio = (torch.stack(parts) for parts in zip(*windows, strict=True))
        return Batch(target, masked, reference, audio)

    def _window(self, clip: LatentClip, generator: np.random.Generator) -> tuple[Tensor, ...]:
        length = self.recipe.window_frames
        start = int(generator.integers(0, len(clip.frames) - length + 1))
        chosen = np.arange(start, start + length)
        tracks = self.audio[clip.clip.folder.name]
        track = tracks[int(generator.integers(len(tracks)))]
        windows = track[clip.frames[chosen]].float()
        if generator.random() < self.recipe.true_shape_share:
            windows = self._with_true_shape(windows, clip, chosen, generator)
        if generator.random() < self.recipe.audio_dropout:
            windows = torch.zeros_like(windows)
        target, masked, reference = (
            rearrange(torch.from_numpy(array).float(), "f c h w -> c f h w")
            for array in (clip.latents[chosen], clip.masked[chosen], clip.references[chosen])
        )
        return target, masked, reference, windows

    def _with_true_shape(
        self, windows: Tensor, clip: LatentClip, chosen: NDArray[np.int64], generator: np.random.Generator
    ) -> Tensor:
        """Put the measured lip shape, with some noise, where the audio encoder's prediction stands (F, S, D).

        A prediction explains a third of a mouth's movement, the truth all of it: with it the U-Net learns in minutes
        what the numbers mean.
        """
        shape = self.shapes[clip.clip.folder.name][clip.frames[chosen]]  # (F, K)
        noisy = shape + self.recipe.true_shape_noise * generator.standard_normal((1, shape.shape[1]))
        states = repeat(torch.from_numpy(noisy).float(), "f k -> f s k", s=windows.shape[1])
        return torch.cat([windows[..., : -shape.shape[1]], SHAPE_GAIN * states], dim=-1)


def loss_weights(mask: Tensor, height: int, recipe: UNetRecipe) -> Tensor:
    """How much each latent cell counts, (1, 1, 1, h, h) with mean 1: the share of it that is shown from the output."""
    hole = reduce(1 - mask, "1 1 (h p) (w q) -> h w", "mean", h=height, w=height)
    rows, columns = (slice(bounds[0] * height // RESOLUTION, bounds[1] * height // RESOLUTION) for bounds in MOUTH)
    weights = recipe.outside_weight + recipe.hole_weight * hole
    weights[rows, columns] += recipe.mouth_weight
    return (weights / weights.mean())[None, None, None]


def sample_timesteps(batch_size: int, num_timesteps: int) -> Tensor:
    """Timesteps (B,), the noisy ones more often: there the mouth is decided, and only there must one listen."""
    return (num_timesteps * torch.rand(batch_size) ** 0.45).long()


def timestep_weights(signal_to_noise: Tensor) -> Tensor:
    """Weight of the clean-latent error by signal-to-noise ratio: as Min-SNR (arXiv:2303.09556), with a floor of 1.

    Where the noisy latents show the mouth already nobody has to listen: the weight hardly rises, for sharpness.
    """
    return signal_to_noise.clamp(min=1.0, max=1.5)


def predict_clean(unet: UNet3DConditionModel, scheduler: Any, batch: Batch, mask: Tensor, timesteps: Tensor) -> Tensor:
    """Predicted clean latents (B, C, F, h, w) float32 from noisy ones of timesteps (B,)."""
    batch_size, _, frames, height, width = batch.target.shape
    shared = torch.randn_like(batch.target[:, :, :1])
    own = torch.randn_like(batch.target)
    noise = shared if frames == 1 else shared * math.sqrt(0.5) + own * math.sqrt(0.5)
    noisy = scheduler.add_noise(batch.target, noise.expand_as(batch.target), timesteps)
    hole = mask[:, :, None].expand(batch_size, 1, frames, height, width)
    with torch.autocast(batch.target.device.type, torch.bfloat16):
        change = unet(torch.cat([noisy, hole, batch.masked, batch.reference], dim=1), timesteps, batch.audio)
    return change.float() + batch.reference


def reconstruction_loss(
    prediction: Tensor, target: Tensor, weights: Tensor, scheduler: Any, timesteps: Tensor
) -> Tensor:
    """Weighted squared error of the predicted clean latents, one number."""
    alpha = scheduler.alphas_cumprod[timesteps]
    error = reduce((prediction - target) ** 2 * weights, "b ... -> b", "mean")
    return (error * timestep_weights(alpha / (1 - alpha))).mean()


class UNetLosses:
    """The losses of a step; teaches the discriminator too, if the recipe has one.

    Args:
        mask: (1, 1, h, w) at the size of the latents, 1 = keep.
        weights: (1, 1, 1, h, w) of `loss_weights`.
    """

    def __init__(
        self, unet: UNet3DConditionModel, scheduler: Any, mask: Tensor, weights: Tensor, recipe: UNetRecipe
    ) -> None:
        self._unet, self._scheduler, self._mask, self._weights, self._recipe = unet, scheduler, mask, weights, recipe
        self._shown = weights > weights.min()  # where the result is taken from the prediction
        config = recipe.model
        discriminator = LatentDiscriminator(config["out_channels"], config["cross_attention_dim"])
        if recipe.init_discriminator_from:
            discriminator.load_state_dict(read_state_dict(Path(recipe.init_discriminator_from)))
        self.adversary = Adversary(discriminator, recipe.discriminator_rate)

    def __call__(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Losses by name, "total" is what is minimised; `step` is the number of steps done."""
        timesteps = sample_timesteps(len(batch.target), self._scheduler.config.num_train_timesteps)
        prediction = predict_clean(self._unet, self._scheduler, batch, self._mask, timesteps)
        reconstruction = reconstruction_loss(prediction, batch.target, self._weights, self._scheduler, timesteps)
        if not self._recipe.adversarial_weight:
            return {"total": reconstruction}
        return self._with_adversary(batch, prediction, reconstruction, timesteps, step)

    def _with_adversary(
        self, batch: Batch, prediction: Tensor, reconstruction: Tensor, timesteps: Tensor, step: int
    ) -> dict[str, Tensor]:
        shown = torch.where(self._shown, prediction, batch.target)
        # The noisiest half: what is made from nearly clean latents cannot be told from real ones.
        judged = timesteps.argsort(descending=True)[: max(1, len(timesteps) // 2)]
        real, fake, reference = (self._part(latents[judged]) for latents in (batch.target, shown, batch.reference))
        audio = rearrange(batch.audio[judged], "b f s d -> (b f) s d")
        told_apart = self.adversary.learn(real, fake, reference, audio)
        losses = {"total": reconstruction, "reconstruction": reconstruction.detach(), "discriminator": told_apart}
        start = self._recipe.adversarial_start
        if step < start:
            return losses
        fooling = self.adversary.fooling_loss(fake, reference, audio)
        ramp = min(1.0, (step - start) / max(1, start))
        weight = self._recipe.adversarial_weight * ramp * balance(reconstruction, fooling, prediction)
        return {**losses, "total": reconstruction + weight * fooling}

    def _part(self, latents: Tensor) -> Tensor:
        """The lower part (B * F, C, ., w) of latents (B, C, F, h, w), where all that is generated lies."""
        height = latents.shape[-2]
        return rearrange(latents[..., 3 * height // 8 :, :], "b c f h w -> (b f) c h w")


def build_sampler(recipe: UNetRecipe, vae: SpaceToDepthAutoencoder, mask: Tensor) -> WindowSampler:
    """Cache the latents of all variants and the audio windows of all clips."""
    clips = read_face_clips(recipe.data_dir, "train")
    encoder = MelAudioEncoder.from_pretrained(recipe.audio_encoder_dir).eval()
    latents: list[LatentClip] = []
    for variant in range(recipe.variants):
        latents += cache_latents(
            clips,
            recipe.cache_dir,
            vae,
            mask,
            variant,
            recipe.frame_stride,
            recipe.frames_per_clip,
            one_reference=recipe.window_frames > 1,
        )
        log.info("cached variant %d: %d clips", variant, len(clips))
    audio = {
        clip.folder.name: [
            cut_audio_windows(audio_states(encoder, clip, variant), clip.num_frames, recipe.context_frames).half()
            for variant in range(3)
        ]
        for clip in clips
    }
    basis = fit_lip_shape([clip.mesh for clip in clips], encoder.config["num_shape_components"] - 1)
    shapes = {clip.folder.name: basis.project(clip.mesh) for clip in clips}
    return WindowSampler(latents, audio, shapes, recipe)


def load_stage(unet: UNet3DConditionModel, path: Path) -> None:
    """Load the averaged weights of an earlier stage, or a bundle's U-Net; only temporal layers may be new.

    Raises:
        BadCheckpoint: naming what else is missing or unexpected.
    """
    result = unet.load_state_dict(read_state_dict(path), strict=False)
    missing = [key for key in result.missing_keys if "motion_modules" not in key]
    if missing or result.unexpected_keys:
        raise BadCheckpoint(f"{path}: missing {missing[:5]}, unexpected {result.unexpected_keys[:5]}")


def build_unet(recipe: UNetRecipe) -> UNet3DConditionModel:
    """The network of the recipe, with the weights of the stage before, its trainable parameters chosen."""
    unet = UNet3DConditionModel(UNetConfig.from_dict(recipe.model))
    log.info("%.1f M parameters", sum(parameter.numel() for parameter in unet.parameters()) / 1e6)
    if recipe.init_from:
        load_stage(unet, Path(recipe.init_from))
    for name, parameter in unet.named_parameters():
        parameter.requires_grad_(any(part in name for part in recipe.trainable))
    return unet


def train_unet(recipe: UNetRecipe, resume: bool = False) -> None:
    """Run the recipe and leave the averaged weights in `run_dir/unet.pt` and discriminator.pt, new at every checkpoint.

    Raises:
        BadOption: if the folder holds a run already and `resume` is not wanted.
    """
    if not resume:
        refuse_used_folder(recipe.run_dir)
    torch.manual_seed(recipe.seed)
    vae = SpaceToDepthAutoencoder.from_pretrained(recipe.vae_dir).eval().to(memory_format=torch.channels_last)
    mask = torch.from_numpy(load_mask(recipe.mask_path, RESOLUTION))
    sampler = build_sampler(recipe, vae, mask)
    unet = build_unet(recipe)
    schedule = Schedule(
        recipe.steps,
        recipe.max_minutes,
        recipe.learning_rate,
        recipe.warmup_steps,
        ema_decay=recipe.ema_decay,
        checkpoint_minutes=recipe.checkpoint_minutes,
    )
    scheduler = DDIMScheduler.from_config(recipe.scheduler)
    small_mask = mask_at_latents(mask, vae.vae_scale_factor)
    weights = loss_weights(mask, small_mask.shape[-1], recipe)
    losses = UNetLosses(unet, scheduler, small_mask, weights, recipe)
    trainer = Trainer(unet, recipe.run_dir, schedule, recipe.weight_decay, {"adversary": losses.adversary})
    if resume:
        trainer.resume()

    def save() -> None:
        torch.save(trainer.averaged.state_dict(), recipe.run_dir / "unet.pt")
        torch.save(losses.adversary.discriminator.state_dict(), recipe.run_dir / "discriminator.pt")

    describe_run(recipe, "train-unet")
    trainer.run(lambda: losses(sampler.batch(trainer.step), trainer.step), save)
