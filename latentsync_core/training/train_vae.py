"""Train the small bundle's autoencoder on aligned face crops (`train-vae RECIPE.yaml`).

Loss: L1 on pixels plus L1 on finite differences (edges: teeth, lip lines), and a penalty that keeps every latent
channel near zero mean and unit variance so that diffusion noise is of the right size. Some noise is added to the
latents in training: the decoder then forgives what the U-Net gets slightly wrong.
"""

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from latentsync_core.models.autoencoder import SpaceToDepthAutoencoder
from latentsync_core.training.checkpoint import refuse_used_folder
from latentsync_core.training.curves import Curve, TensorBoard, plot_run
from latentsync_core.training.devices import choose_device
from latentsync_core.training.face_clips import FaceClip, clip_weights, read_face_clips
from latentsync_core.training.held_out_faces import HeldOutFaces
from latentsync_core.training.processes import join_processes
from latentsync_core.training.run_facts import describe_run
from latentsync_core.training.runs import SAMPLES, VALIDATION
from latentsync_core.training.trainer import Schedule, Trainer


@dataclass(frozen=True)
class VaeRecipe:
    """Everything about one autoencoder run; lengths are in optimiser steps unless named otherwise."""

    data_dir: Path
    run_dir: Path
    steps: int = 10_000
    max_minutes: float = 60.0
    batch_size: int = 16
    patch_size: int = 128  # pixels, a multiple of 16
    frame_stride: int = 4  # every n-th frame of a clip is used
    learning_rate: float = 6e-4
    warmup_steps: int = 200
    edge_weight: float = 1.0
    moment_weight: float = 0.01
    latent_noise: float = 0.08  # standard deviations
    latent_channels: int = 16
    ema_decay: float = 0.998
    checkpoint_minutes: float = 3.0
    checkpoint_steps: int = 0  # 0 = by the clock only
    validate_every: int = 500  # on held-out people; 0 = never
    device: str = "auto"  # or cpu or cuda
    seed: int = 1


def edge_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of horizontal and vertical finite differences, (N, C, H, W) each."""
    error = prediction - target
    return error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()


def moment_penalty(latents: Tensor) -> Tensor:
    """Squared distance of each channel's mean from 0 and log-variance from 0, over (N, C, h, w)."""
    per_channel = rearrange(latents.float(), "n c h w -> c (n h w)")
    return (per_channel.mean(1) ** 2).mean() + (torch.log(per_channel.var(1) + 1e-6) ** 2).mean()


class PatchSampler:
    """Random patches of random frames, mirrored and recoloured; the frames are kept in memory."""

    def __init__(self, clips: list[FaceClip], recipe: VaeRecipe) -> None:
        self._frames = [np.array(clip.crops[:: recipe.frame_stride]) for clip in clips]
        self._weights = clip_weights(clips)
        self._recipe = recipe

    def batch(self, step: int) -> Tensor:
        """The patches of one step, a function of the step and the recipe's seed: (B, 3, P, P) in [-1, 1]."""
        generator = np.random.default_rng([self._recipe.seed, step])
        chosen = generator.choice(len(self._frames), self._recipe.batch_size, p=self._weights)
        patches = np.stack([self._patch(self._frames[index], generator) for index in chosen])
        return rearrange(torch.from_numpy(patches), "b h w c -> b c h w")

    def _patch(self, crops: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.float32]:
        size, most = self._recipe.patch_size, crops.shape[1] - self._recipe.patch_size
        row = int(generator.integers(0, most + 1, 2).max())  # the lower face more often
        column = int(generator.integers(0, most + 1))
        patch = crops[generator.integers(len(crops)), row : row + size, column : column + size]
        patch = patch[:, ::-1] if generator.random() < 0.5 else patch
        gain = generator.uniform(0.8, 1.15) * generator.uniform(0.93, 1.07, 3)
        changed = np.clip(patch / 127.5 * gain - 1 + generator.uniform(-0.1, 0.1), -1, 1)
        return np.asarray(changed, np.float32)


def train_vae(recipe: VaeRecipe, resume: bool = False) -> SpaceToDepthAutoencoder:
    """Run the recipe and leave `run_dir/vae` (diffusers format, averaged weights); returns the model.

    Raises:
        BadOption: if the folder holds a run already and `resume` is not wanted.
    """
    if not resume:
        refuse_used_folder(recipe.run_dir)
    device = choose_device(recipe.device)
    processes = join_processes(device)
    clips = read_face_clips(recipe.data_dir, "train")
    held_out = HeldOutFaces(recipe.data_dir, clips) if recipe.validate_every and processes.is_main else None
    torch.manual_seed(recipe.seed)
    model = SpaceToDepthAutoencoder(latent_channels=recipe.latent_channels)
    model.to(device=device, memory_format=torch.channels_last)
    sampler = PatchSampler(clips, recipe)
    if processes.is_main:
        describe_run(recipe, "train-vae")
    with TensorBoard(recipe.run_dir / "tensorboard") if processes.is_main else nullcontext() as board:
        trainer = Trainer(model, recipe.run_dir, _schedule(recipe), board=board, processes=processes)
        if resume:
            trainer.resume()
        trained = cast(SpaceToDepthAutoencoder, trainer.averaged)
        validation = Curve(recipe.run_dir / VALIDATION, board)
        validation.forget_after(trainer.step)

        def save() -> None:
            _set_latent_scale(trained, [sampler.batch(step).to(device) for step in range(16)])
            trained.save_pretrained(recipe.run_dir / "vae")
            plot_run(recipe.run_dir, trainer.curve, validation)

        def validate_sometimes() -> None:
            if held_out and held_out.count and trainer.step % recipe.validate_every == 0:
                validation.add(trainer.step, trainer.seconds, held_out.measure(trained))
                held_out.write_sample(trained, recipe.run_dir / SAMPLES / f"step_{trainer.step:08d}.png")

        trainer.run(
            lambda: vae_losses(model, sampler.batch(trainer.batch).to(device), recipe), save, validate_sometimes
        )
    return trained


def _schedule(recipe: VaeRecipe) -> Schedule:
    names = ("steps", "max_minutes", "learning_rate", "warmup_steps", "ema_decay")
    more = ("checkpoint_minutes", "checkpoint_steps")
    return Schedule(flat_share=0.3, **{name: getattr(recipe, name) for name in names + more})


def vae_losses(model: SpaceToDepthAutoencoder, patches: Tensor, recipe: VaeRecipe) -> dict[str, Tensor]:
    """Losses of one batch (B, 3, P, P) in [-1, 1]: total, pixel, edge, moments."""
    patches = patches.to(memory_format=torch.channels_last)
    with torch.autocast(patches.device.type, torch.bfloat16):
        latents = model.encode(patches).latent_dist.mean
        decoded = model.decode(latents + recipe.latent_noise * torch.randn_like(latents)).sample
    pixel = (decoded.float() - patches).abs().mean()
    edge = edge_loss(decoded.float(), patches)
    moments = moment_penalty(latents)
    total = pixel + recipe.edge_weight * edge + recipe.moment_weight * moments
    return {"total": total, "pixel": pixel, "edge": edge, "moments": moments}


@torch.no_grad()
def _set_latent_scale(model: SpaceToDepthAutoencoder, batches: list[Tensor]) -> None:
    """Measure the latents' mean and deviation, so that diffusion latents have zero mean and unit variance."""
    latents = torch.cat([model.encode(batch).latent_dist.mean for batch in batches])
    model.register_to_config(scaling_factor=float(1 / latents.std()), shift_factor=float(latents.mean()))
