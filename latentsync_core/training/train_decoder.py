"""Sharpen the decoder of a bundle's autoencoder (`train-decoder RECIPE.yaml`); encoder, latents and U-Net stay.

It learns from frames' own latents, and from what the bundle's U-Net makes of the same frames (generated_faces.py).
Both are compared with the frame by features that were trained at home; pixel by pixel only the first, as a generated
mouth is never quite where the real one is: of it the coarse picture counts. A discriminator looks at the mouths.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from latentsync_core.bundle import load_bundle
from latentsync_core.diffusion.latents import Autoencoder, decode_latents, spatial_factor
from latentsync_core.errors import BadOption
from latentsync_core.models.autoencoder import SpaceToDepthAutoencoder
from latentsync_core.training.autoencoders import load_autoencoder
from latentsync_core.training.checkpoint import refuse_used_folder
from latentsync_core.training.curves import Curve, plot_run
from latentsync_core.training.devices import choose_device
from latentsync_core.training.face_clips import clip_weights, read_face_clips, refuse_shared_people
from latentsync_core.training.generated_faces import GeneratedFaces, cache_generated
from latentsync_core.training.latent_discriminator import balance
from latentsync_core.training.lip_shape import fit_lip_shape
from latentsync_core.training.losses.face_features import load_face_feature_distance
from latentsync_core.training.picture_discriminator import PictureAdversary, PictureDiscriminator
from latentsync_core.training.processes import join_processes
from latentsync_core.training.run_facts import describe_run
from latentsync_core.training.runs import SAMPLES, VALIDATION
from latentsync_core.training.train_vae import edge_loss
from latentsync_core.training.trainer import Schedule, Trainer

LOWER = 0.375  # of the crop's height: what lies above is not decoded
MOUTH = ((0.5, 0.9375), (0.1875, 0.8125))  # rows and columns, shares of the crop, that the discriminator looks at
COARSE = 4  # pixels a side of which a generated mouth has the mean right


@dataclass(frozen=True)
class DecoderRecipe:
    """Everything about one run; lengths are in optimiser steps unless named otherwise."""

    data_dir: Path
    run_dir: Path
    cache_dir: Path
    bundle_dir: Path  # its autoencoder's decoder learns on what its U-Net generates
    features_dir: Path  # a folder of train-face-features
    variants: int = 2  # looks of every clip
    steps: int = 5_000
    max_minutes: float = 40.0
    batch_size: int = 8  # frames, each decoded twice: from its own latents, and from the U-Net's
    learning_rate: float = 3e-4
    warmup_steps: int = 50
    ema_decay: float = 0.995
    edge_weight: float = 1.0
    feature_weight: float = 0.4
    adversarial_weight: float = 0.4  # of the discriminator's gradient, relative to that of all else
    adversarial_start: int = 100  # the discriminator learns alone until then
    discriminator_rate: float = 1e-3
    validate_every: int = 250  # on held-out people; 0 = never
    checkpoint_minutes: float = 3.0
    checkpoint_steps: int = 0  # 0 = by the clock only
    device: str = "auto"  # or cpu or cuda
    seed: int = 1


@dataclass(frozen=True)
class Frames:
    """N frames: lower parts (N, 3, h, R) of real pictures in [-1, 1], and both latents (N, C, h', w') of them."""

    pictures: Tensor
    own: Tensor
    generated: Tensor


class FrameSampler:
    """Draws frames of cached windows.

    Args:
        windows: to draw from.
        weights: (N,) probabilities of the windows.
        seed: of everything drawn.
        factor: pixels a side that a latent covers.
    """

    def __init__(self, windows: list[GeneratedFaces], weights: NDArray[np.float64], seed: int, factor: int) -> None:
        self._windows, self._weights, self._seed, self._factor = windows, weights, seed, factor

    def batch(self, step: int, size: int) -> Frames:
        """The frames of one step, a function of the step and the seed."""
        generator = np.random.default_rng([self._seed, step])
        chosen = generator.choice(len(self._windows), size, p=self._weights)
        parts = [self.frame(int(index), int(generator.integers(len(self._windows[index].own)))) for index in chosen]
        return Frames(*(torch.stack(part) for part in zip(*parts, strict=True)))

    def frame(self, index: int, position: int) -> tuple[Tensor, Tensor, Tensor]:
        """Picture (3, h, R), own and generated latents (C, h', w') of one frame of a window, all without the brow."""
        window = self._windows[index]
        picture = window.pictures(np.array([position]))[0]
        first = int(LOWER * window.own.shape[-2])
        lower = torch.from_numpy(picture[first * self._factor :])
        shown = rearrange(lower.float() / 127.5 - 1, "h w c -> c h w")
        own, generated = (torch.from_numpy(each[position, :, first:]) for each in (window.own, window.generated))
        return shown, own.float(), generated.float()


class DecoderLosses:
    """The losses of a batch; every call teaches the discriminator, too."""

    def __init__(self, vae: Autoencoder, recipe: DecoderRecipe, device: torch.device) -> None:
        self._vae, self._recipe = vae, recipe
        self._distance = load_face_feature_distance(recipe.features_dir).to(device)
        self.adversary = PictureAdversary(PictureDiscriminator().to(device), recipe.discriminator_rate)

    def __call__(self, frames: Frames, step: int) -> dict[str, Tensor]:
        recipe, real = self._recipe, frames.pictures
        latents = torch.cat([frames.own, frames.generated])
        with torch.autocast(real.device.type, torch.bfloat16):
            decoded = decode_latents(self._vae, latents).float()
        own, generated = decoded.chunk(2)
        pixel = (own - real).abs().mean() + recipe.edge_weight * edge_loss(own, real)
        coarse = F.avg_pool2d(generated - real, COARSE).abs().mean()
        with torch.autocast(real.device.type, torch.bfloat16):
            features = self._distance(decoded, torch.cat([real, real])).float().mean()
        known = pixel + coarse + recipe.feature_weight * features
        losses = {"pixel": pixel, "coarse": coarse, "features": features}
        losses["discriminator"] = self.adversary.learn(_mouths(real), _mouths(decoded))
        fooling, minimised = torch.zeros(()), known
        if recipe.adversarial_weight and step >= recipe.adversarial_start:
            fooling = self.adversary.fooling_loss(_mouths(decoded))
            minimised = known + recipe.adversarial_weight * balance(known, fooling, decoded) * fooling
        return {"total": known, "minimised": minimised, "fooling": fooling, **losses}

    def feature_distance(self, first: Tensor, second: Tensor) -> float:
        """The mean distance of pictures (N, 3, h, w) by the features."""
        device = next(self._distance.parameters()).device
        return float(self._distance(first.to(device), second.to(device)).mean())


def _mouths(lower: Tensor) -> Tensor:
    """Lower parts (N, 3, h, R) -> what the discriminator sees of them."""
    side = lower.shape[-1]
    (top, bottom), (left, right) = ((round(side * share) for share in bounds) for bounds in MOUTH)
    hidden = side - lower.shape[-2]
    return lower[..., top - hidden : bottom - hidden, left:right]


def train_decoder(recipe: DecoderRecipe, resume: bool = False) -> None:
    """Run the recipe and leave `run_dir/vae`: the bundle's autoencoder with the averaged new decoder.

    Raises:
        BadOption: if the folder holds a run already and `resume` is not wanted, or the bundle is of another kind.
        BadCheckpoint: if the bundle or the features cannot be read.
    """
    if not resume:
        refuse_used_folder(recipe.run_dir)
    device = choose_device(recipe.device)
    windows, held_out = _open_windows(recipe)
    vae, kept = (load_autoencoder(recipe.bundle_dir / "vae", device) for _ in range(2))
    assert isinstance(vae, SpaceToDepthAutoencoder)  # the bundle's is
    torch.manual_seed(recipe.seed)  # after all that is read: networks draw random weights before they get theirs
    vae.to(memory_format=torch.channels_last)
    vae.decoder.requires_grad_(True)
    losses = DecoderLosses(vae, recipe, device)
    weights = clip_weights([window.clip for window in windows])
    sampler = FrameSampler(windows, weights, recipe.seed, spatial_factor(vae))
    describe_run(recipe, "train-decoder")
    companions = {"adversary": losses.adversary}
    trainer = Trainer(
        vae.decoder, recipe.run_dir, _schedule(recipe), companions=companions, processes=join_processes(device)
    )
    if resume:
        trainer.resume()
    watch = HeldOutMouths(held_out, spatial_factor(vae), losses)
    validation = Curve(recipe.run_dir / VALIDATION)
    validation.forget_after(trainer.step)

    def take_average() -> None:
        cast(Any, kept).decoder.load_state_dict(trainer.averaged.state_dict())

    def save() -> None:
        take_average()
        cast(Any, kept).save_pretrained(recipe.run_dir / "vae")
        plot_run(recipe.run_dir, trainer.curve, validation)

    def validate_sometimes() -> None:
        if held_out and recipe.validate_every and trainer.step % recipe.validate_every == 0:
            take_average()
            validation.add(trainer.step, trainer.seconds, watch.measure(kept))
            watch.write_sample(kept, recipe.run_dir / SAMPLES / f"step_{trainer.step:08d}.png")

    trainer.run(lambda: _next(sampler, losses, trainer, recipe, device), save, validate_sometimes)


def _next(
    sampler: FrameSampler, losses: DecoderLosses, trainer: Trainer, recipe: DecoderRecipe, device: torch.device
) -> dict[str, Tensor]:
    frames = sampler.batch(trainer.batch, recipe.batch_size)
    return losses(Frames(*(part.to(device) for part in (frames.pictures, frames.own, frames.generated))), trainer.step)


def _open_windows(recipe: DecoderRecipe) -> tuple[list[GeneratedFaces], list[GeneratedFaces]]:
    """Windows to learn from, and those of held-out people."""
    clips = read_face_clips(recipe.data_dir, "train")
    people = read_face_clips(recipe.data_dir, "val", ("real",)) if recipe.validate_every else []
    refuse_shared_people(clips, people)
    bundle = load_bundle(recipe.bundle_dir, recipe.device)
    if not isinstance(bundle.vae, SpaceToDepthAutoencoder):
        raise BadOption(f"{recipe.bundle_dir}: train-decoder is for a SpaceToDepthAutoencoder")
    components = int(cast(Any, bundle.audio_encoder).config["num_shape_components"])
    basis = fit_lip_shape([clip.mesh for clip in clips], components - 1)
    return (
        cache_generated(clips, recipe.cache_dir, bundle, basis, recipe.variants),
        cache_generated(people, recipe.cache_dir, bundle, basis, 1),
    )


def _schedule(recipe: DecoderRecipe) -> Schedule:
    names = ("steps", "max_minutes", "learning_rate", "warmup_steps", "ema_decay")
    more = ("checkpoint_minutes", "checkpoint_steps")
    return Schedule(flat_share=0.4, **{name: getattr(recipe, name) for name in names + more})


class HeldOutMouths:
    """What the decoder makes of people whom it never saw: errors, and a sheet to look at.

    Args:
        windows: of whose middle frame one each is shown.
        factor: pixels a side that a latent covers.
        losses: whose features compare.
    """

    def __init__(self, windows: list[GeneratedFaces], factor: int, losses: DecoderLosses) -> None:
        sampler = FrameSampler(windows, np.ones(len(windows)), 0, factor)
        middles = [sampler.frame(index, len(window.own) // 2) for index, window in enumerate(windows)]
        if middles:
            self._frames = Frames(*(torch.stack(part) for part in zip(*middles, strict=True)))
        self._losses = losses

    @torch.no_grad()
    def measure(self, vae: Autoencoder) -> dict[str, float]:
        """Feature distance and, of frames' own latents, PSNR; sharpness is the mean gradient over the real one's."""
        real = self._frames.pictures
        own, generated = (self._decode(vae, latents) for latents in (self._frames.own, self._frames.generated))
        errors = (own - real).square().mean((1, 2, 3)) / 4
        return {
            "psnr": float((-10 * torch.log10(errors + 1e-12)).mean()),
            "features": self._losses.feature_distance(generated, real),
            "sharpness": float(_gradient(_mouths(generated)) / _gradient(_mouths(real))),
        }

    @torch.no_grad()
    def write_sample(self, vae: Autoencoder, out: Path) -> None:
        """A PNG: real mouths, from their own latents, from the generated ones."""
        rows = [self._frames.pictures, *(self._decode(vae, z) for z in (self._frames.own, self._frames.generated))]
        sheet = torch.cat([rearrange(_mouths(row), "n c h w -> c h (n w)") for row in rows], dim=1)
        levels = ((sheet + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        out.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rearrange(levels, "c h w -> h w c").numpy()).save(out)

    def _decode(self, vae: Autoencoder, latents: Tensor) -> Tensor:
        return decode_latents(vae, latents).float().cpu().clamp(-1, 1)


def _gradient(pictures: Tensor) -> Tensor:
    return pictures.diff(dim=-1).abs().mean() + pictures.diff(dim=-2).abs().mean()
