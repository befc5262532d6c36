"""Train a small VideoMAE on aligned faces (`train-videomae RECIPE.yaml`): TREPA's stand-in where no weights can be had.

Masked video modelling (VideoMAE, arXiv:2203.12602): nine tenths of a window are hidden, the same places in all frames,
and told from the rest; no labels. `run_dir/videomae` is a checkpoint folder of transformers, which
`losses.videomae_dir` takes. It has seen some hundred people and is no VideoMAE-v2: its distance goes by the name
`trepa_stand_in`.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from einops import rearrange, repeat
from numpy.typing import NDArray
from torch import Tensor
from transformers import VideoMAEConfig, VideoMAEForPreTraining, VideoMAEImageProcessor
from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from latentsync_core.errors import BadOption
from latentsync_core.training.checkpoint import refuse_used_folder
from latentsync_core.training.curves import plot_run
from latentsync_core.training.devices import choose_device
from latentsync_core.training.face_clips import FaceClip, clip_weights, read_face_clips
from latentsync_core.training.losses.video_folder import HOME_TRAINED
from latentsync_core.training.processes import join_processes
from latentsync_core.training.run_facts import describe_run
from latentsync_core.training.trainer import Schedule, Trainer


@dataclass(frozen=True)
class VideoMaeRecipe:
    """Everything about one run; lengths are in optimiser steps unless named otherwise."""

    data_dir: Path
    run_dir: Path
    steps: int = 10_000
    max_minutes: float = 10.0
    batch_size: int = 16  # windows
    num_frames: int = 16
    resolution: int = 64  # of the whole aligned face, pixels
    patch_size: int = 8  # pixels
    tubelet_size: int = 2  # frames
    hidden_size: int = 192
    num_layers: int = 4
    decoder_size: int = 96
    decoder_layers: int = 2
    mask_share: float = 0.9
    learning_rate: float = 1e-3
    warmup_steps: int = 100
    weight_decay: float = 0.05
    checkpoint_minutes: float = 3.0
    checkpoint_steps: int = 0  # 0 = by the clock only
    device: str = "auto"  # or cpu or cuda
    seed: int = 1

    def __post_init__(self) -> None:
        for length, part in (("resolution", "patch_size"), ("num_frames", "tubelet_size")):
            if getattr(self, length) % getattr(self, part):
                raise BadOption(f"{length} {getattr(self, length)} must be a multiple of {part} {getattr(self, part)}")
        if not 0 < self.num_hidden < self.places:
            raise BadOption(f"mask_share {self.mask_share} hides {self.num_hidden} of {self.places} places of a frame")

    @property
    def places(self) -> int:
        """Patches of a frame."""
        return (self.resolution // self.patch_size) ** 2

    @property
    def num_hidden(self) -> int:
        """Places that are hidden."""
        return round(self.mask_share * self.places)

    def model(self) -> VideoMAEConfig:
        """The network's shape; heads are 32 wide."""
        config = VideoMAEConfig(
            image_size=self.resolution,
            patch_size=self.patch_size,
            num_frames=self.num_frames,
            tubelet_size=self.tubelet_size,
            hidden_size=self.hidden_size,
            num_hidden_layers=self.num_layers,
            num_attention_heads=max(1, self.hidden_size // 32),
            intermediate_size=4 * self.hidden_size,
            decoder_hidden_size=self.decoder_size,
            decoder_num_hidden_layers=self.decoder_layers,
            decoder_num_attention_heads=max(1, self.decoder_size // 32),
            decoder_intermediate_size=4 * self.decoder_size,
        )
        setattr(config, HOME_TRAINED, True)
        return config


class FaceWindows:
    """Windows of consecutive frames of whole faces, mirrored at times; the faces are kept in memory."""

    def __init__(self, clips: list[FaceClip], recipe: VideoMaeRecipe) -> None:
        clips = [clip for clip in clips if clip.num_frames >= recipe.num_frames]
        if not clips:
            raise BadOption(f"{recipe.data_dir}: no clip has {recipe.num_frames} frames")
        side = (recipe.resolution, recipe.resolution)
        self._faces = [
            np.stack([cv2.resize(face, side, interpolation=cv2.INTER_AREA) for face in clip.crops]) for clip in clips
        ]
        self._weights, self._recipe = clip_weights(clips), recipe

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Videos (B, F, 3, R, R), normalised, and which tokens (B, F / tubelet * places) are hidden, for one step."""
        recipe = self._recipe
        generator = np.random.default_rng([recipe.seed, step])
        chosen = generator.choice(len(self._faces), recipe.batch_size, p=self._weights)
        videos = torch.from_numpy(np.stack([self._window(self._faces[index], generator) for index in chosen]))
        mean, std = torch.tensor(IMAGENET_DEFAULT_MEAN), torch.tensor(IMAGENET_DEFAULT_STD)
        normalised = (videos.float() / 255 - mean) / std
        hidden = np.stack([generator.permutation(recipe.places) < recipe.num_hidden for _ in chosen])
        tokens = repeat(torch.from_numpy(hidden), "b p -> b (t p)", t=recipe.num_frames // recipe.tubelet_size)
        return rearrange(normalised, "b f h w c -> b f c h w"), tokens

    def _window(self, faces: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.uint8]:
        start = int(generator.integers(len(faces) - self._recipe.num_frames + 1))
        window = faces[start : start + self._recipe.num_frames]
        return window[:, :, ::-1] if generator.random() < 0.5 else window


def train_videomae(recipe: VideoMaeRecipe, resume: bool = False) -> VideoMAEForPreTraining:
    """Run the recipe and leave `run_dir/videomae`; losses.csv has the error on hidden patches, 1 = nothing told.

    Raises:
        BadOption: if the folder holds a run already and `resume` is not wanted, or no clip is long enough.
    """
    if not resume:
        refuse_used_folder(recipe.run_dir)
    device = choose_device(recipe.device)
    windows = FaceWindows(read_face_clips(recipe.data_dir, "train"), recipe)
    torch.manual_seed(recipe.seed)
    model = VideoMAEForPreTraining(recipe.model())
    torch.nn.Module.to(model, device)
    schedule = Schedule(
        recipe.steps,
        recipe.max_minutes,
        recipe.learning_rate,
        recipe.warmup_steps,
        flat_share=0.3,
        ema_decay=0,
        checkpoint_minutes=recipe.checkpoint_minutes,
        checkpoint_steps=recipe.checkpoint_steps,
    )
    processes = join_processes(device)
    trainer = Trainer(model, recipe.run_dir, schedule, recipe.weight_decay, processes=processes)
    if resume:
        trainer.resume()
    folder = recipe.run_dir / "videomae"

    def save() -> None:
        model.save_pretrained(folder)
        VideoMAEImageProcessor(size={"shortest_edge": recipe.resolution}).save_pretrained(folder)
        plot_run(recipe.run_dir, trainer.curve)

    if processes.is_main:
        describe_run(recipe, "train-videomae")

    def losses() -> dict[str, Tensor]:
        videos, hidden = windows.batch(trainer.batch)
        return {"total": reconstruction_error(model, videos.to(device), hidden.to(device))}

    trainer.run(losses, save)
    return model


def reconstruction_error(model: VideoMAEForPreTraining, videos: Tensor, hidden: Tensor) -> Tensor:
    """Mean squared error of hidden patches, each brought to mean 0 and deviation 1 (arXiv:2203.12602, section 3.2)."""
    with torch.autocast(videos.device.type, torch.bfloat16):
        loss: Tensor = model(pixel_values=videos, bool_masked_pos=hidden).loss
    return loss.float()
