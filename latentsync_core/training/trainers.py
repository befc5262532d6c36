"""The trainers by the name of their command: what a recipe of theirs is, and the function that runs it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from latentsync_core.errors import BadOption
from latentsync_core.training.stuck_alarm import CHANCE_ACCURACY, CHANCE_LOSS

TRAINERS = ("train-vae", "train-syncnet", "train-unet", "train-videomae", "train-face-features")  # that can be resumed


@dataclass(frozen=True)
class TrainerEntry:
    """One trainer.

    Attributes:
        recipe_class: a dataclass with `run_dir` and `data_dir`.
        train: runs a recipe; `resume=True` goes on from its newest checkpoint, if there is one.
        chance: of its measures, what guessing gives.
        best_by: the measure on held-out people whose lowest value is the best.
    """

    recipe_class: type[Any]
    train: Callable[..., object]
    chance: Mapping[str, float] = field(default_factory=dict)
    best_by: str = "total"


def find_trainer(name: str) -> TrainerEntry:
    """The trainer of a command; its heavy imports come with it.

    Raises:
        BadOption: if there is none of this name that can be resumed.
    """
    if name == "train-vae":
        from latentsync_core.training.train_vae import VaeRecipe, train_vae

        return TrainerEntry(VaeRecipe, train_vae)
    if name == "train-syncnet":
        from latentsync_core.training.syncnet_recipe import SyncNetRecipe
        from latentsync_core.training.train_syncnet import train_syncnet

        return TrainerEntry(SyncNetRecipe, train_syncnet, {"total": CHANCE_LOSS, "accuracy": CHANCE_ACCURACY})
    if name == "train-unet":
        from latentsync_core.training.train_unet import train_unet
        from latentsync_core.training.unet_recipe import UNetRecipe
        from latentsync_core.training.unet_validation import HOLE_ERROR

        return TrainerEntry(UNetRecipe, train_unet, best_by=HOLE_ERROR)
    if name == "train-videomae":
        from latentsync_core.training.train_videomae import VideoMaeRecipe, train_videomae

        return TrainerEntry(VideoMaeRecipe, train_videomae)
    if name == "train-face-features":
        from latentsync_core.training.train_face_features import FaceFeaturesRecipe, train_face_features

        return TrainerEntry(FaceFeaturesRecipe, train_face_features)
    raise BadOption(f"trainer {name!r} is not one of {', '.join(TRAINERS)}")
