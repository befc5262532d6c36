"""Train the features of LPIPS's stand-in (`train-face-features RECIPE.yaml`), see losses/face_features.py.

The network sees one lower half of an aligned face, mirrored, recoloured and blurred at times, and tells whose it is and
how the mouth stands: one needs skin, beard and teeth, the other the lips. Both heads are thrown away.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from einops import rearrange, reduce
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from latentsync_core.training.checkpoint import refuse_used_folder
from latentsync_core.training.curves import plot_run
from latentsync_core.training.devices import choose_device
from latentsync_core.training.face_clips import FaceClip, clip_weights, read_face_clips
from latentsync_core.training.losses.face_features import FaceFeatures, save_face_features
from latentsync_core.training.losses.mouth_loss import MEASURES, mouth_measures
from latentsync_core.training.processes import join_processes
from latentsync_core.training.run_facts import describe_run
from latentsync_core.training.sync_windows import lower_half
from latentsync_core.training.trainer import Schedule, Trainer

BLUR_SHARE = 0.2  # of the pictures


@dataclass(frozen=True)
class FaceFeaturesRecipe:
    """Everything about one run; lengths are in optimiser steps unless named otherwise."""

    data_dir: Path
    run_dir: Path
    steps: int = 10_000
    max_minutes: float = 10.0
    batch_size: int = 32
    frame_stride: int = 5  # every n-th frame of a clip is used
    widths: tuple[int, ...] = (32, 64, 128, 192)  # channels of the stages
    mouth_weight: float = 1.0  # of the mouth's error beside the classification's
    learning_rate: float = 5e-4
    warmup_steps: int = 100
    weight_decay: float = 0.01
    checkpoint_minutes: float = 3.0
    checkpoint_steps: int = 0  # 0 = by the clock only
    device: str = "auto"  # or cpu or cuda
    seed: int = 1


class FaceTeller(nn.Module):
    """The features with the two heads that teach them.

    Args:
        widths: of the features.
        people: that can be told apart.
    """

    def __init__(self, widths: tuple[int, ...], people: int) -> None:
        super().__init__()
        self.features = FaceFeatures(widths)
        self.person = nn.Linear(sum(widths), people)
        self.mouth = nn.Linear(widths[-1] * 4 * 4, MEASURES)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, h, w) in [-1, 1] -> who, logits (N, people); the mouth (N, 4) in deviations from the mean."""
        maps = self.features(pictures)
        everywhere = torch.cat([reduce(each, "n c h w -> n c", "mean") for each in maps], dim=1)
        places = F.adaptive_avg_pool2d(maps[-1], 4).flatten(1)
        return self.person(everywhere), self.mouth(places)


class LowerFaces:
    """Lower halves of single frames with whose they are and how the mouth stands; kept in memory."""

    def __init__(self, clips: list[FaceClip], recipe: FaceFeaturesRecipe) -> None:
        stride = recipe.frame_stride
        self.people = sorted({clip.identity for clip in clips})
        self._who = [self.people.index(clip.identity) for clip in clips]
        self._halves = [np.array(lower_half(clip.crops[::stride])) for clip in clips]
        mouths = [mouth_measures(clip.mesh)[::stride] for clip in clips]
        together = np.concatenate(mouths)
        self._mouths = [(mouth - together.mean(0)) / (together.std(0) + 1e-6) for mouth in mouths]
        self._weights, self._recipe = clip_weights(clips), recipe

    def batch(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Pictures (B, 3, h, w) in [-1, 1], people (B,) and mouths (B, 4) of one step."""
        generator = np.random.default_rng([self._recipe.seed, step])
        chosen = generator.choice(len(self._who), self._recipe.batch_size, p=self._weights)
        frames = [int(generator.integers(len(self._halves[index]))) for index in chosen]
        pictures = [_change(self._halves[index][frame], generator) for index, frame in zip(chosen, frames, strict=True)]
        mouths = [self._mouths[index][frame] for index, frame in zip(chosen, frames, strict=True)]
        return (
            rearrange(torch.from_numpy(np.stack(pictures)), "b h w c -> b c h w").contiguous(),
            torch.tensor([self._who[index] for index in chosen]),
            torch.from_numpy(np.stack(mouths)).float(),
        )


def _change(picture: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.float32]:
    """Mirror, move, recolour, and blur some: (h, w, 3) -> the same size in [-1, 1]."""
    picture = picture[:, ::-1] if generator.random() < 0.5 else picture
    down, right = generator.integers(-6, 7, 2)
    picture = np.roll(picture, (down, right), (0, 1))
    signal = picture.astype(np.float32) / np.float32(127.5)
    if generator.random() < BLUR_SHARE:
        signal = np.asarray(cv2.GaussianBlur(signal, (0, 0), generator.uniform(0.5, 2.0)), np.float32)
    gain = generator.uniform(0.75, 1.2) * generator.uniform(0.9, 1.1, 3)
    changed = np.clip(signal * gain - 1 + generator.uniform(-0.1, 0.1), -1, 1)
    return np.asarray(changed, np.float32)


def train_face_features(recipe: FaceFeaturesRecipe, resume: bool = False) -> FaceFeatures:
    """Run the recipe and leave `run_dir/face_features`; losses.csv has both heads' losses and the share told right.

    Raises:
        BadOption: if the folder holds a run already and `resume` is not wanted.
    """
    if not resume:
        refuse_used_folder(recipe.run_dir)
    device = choose_device(recipe.device)
    faces = LowerFaces(read_face_clips(recipe.data_dir, "train"), recipe)
    torch.manual_seed(recipe.seed)
    model = FaceTeller(recipe.widths, len(faces.people)).to(device)
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
    if processes.is_main:
        describe_run(recipe, "train-face-features")

    def save() -> None:
        save_face_features(model.features, recipe.run_dir / "face_features")
        plot_run(recipe.run_dir, trainer.curve)

    trainer.run(lambda: _losses(model, faces.batch(trainer.batch), recipe), save)
    return model.features


def _losses(model: FaceTeller, batch: tuple[Tensor, Tensor, Tensor], recipe: FaceFeaturesRecipe) -> dict[str, Tensor]:
    pictures, who, mouth = (tensor.to(model.person.weight.device) for tensor in batch)
    with torch.autocast(pictures.device.type, torch.bfloat16):
        told, moved = model(pictures)
    person = F.cross_entropy(told.float(), who)
    lips = F.smooth_l1_loss(moved.float(), mouth)
    right = (told.argmax(1) == who).float().mean()
    return {"total": person + recipe.mouth_weight * lips, "person": person, "mouth": lips, "told_right": right}
