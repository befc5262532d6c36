"""The losses of stage 2 that look at decoded frames (arXiv:2412.09262, sections 3.2 to 3.4), and their weights.

All look at the one-step estimate of the clean latents, decoded; real frames are the clip's own pixels, not what the
autoencoder makes of them. A further loss is a weight and a path in `LossRecipe`, a line in `DECODED_LOSSES` and the
function that reads its network, all in this file.

Where the paper says nothing: windows whose sound was dropped (for guidance) are not judged by SyncNet.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from latentsync_core.diffusion.latents import Autoencoder, decode_latents
from latentsync_core.errors import BadOption
from latentsync_core.training.losses.face_features import load_face_feature_distance
from latentsync_core.training.losses.lpips_loss import load_lpips, lpips_loss, random_vgg_distance
from latentsync_core.training.losses.sync_loss import sync_loss
from latentsync_core.training.losses.video_folder import is_home_trained
from latentsync_core.training.syncnet_model import load_syncnet

STAND_IN = "random-stand-in"  # in place of a path: an untrained network, for trying things out without downloads
OF_STAND_IN = "_stand_in"  # behind a loss's name where its network is untrained, or trained at home

DECODED_AT_ONCE = 4  # frames, with checkpointing


@dataclass(frozen=True)
class LossRecipe:
    """Weights of the terms of the total loss, those of the reference; 0 = off. Paths are of the networks they need."""

    simple: float = 1.0  # of the error on latents
    sync: float = 0.05
    lpips: float = 0.1  # on the lower half
    trepa: float = 10.0
    syncnet_dir: str = ""  # for sync: a folder that train-syncnet left
    vgg_path: str = ""  # for lpips: torchvision's VGG-16; else a folder of train-face-features, or random-stand-in
    videomae_dir: str = ""  # for trepa: any VideoMAE of transformers, that of train-videomae too, or random-stand-in

    def __post_init__(self) -> None:
        for name, loss in DECODED_LOSSES.items():
            weight = getattr(self, name)
            if weight < 0:
                raise BadOption(f"losses.{name} must not be negative, got {weight}")
            if weight and not getattr(self, loss.path_key):
                raise BadOption(
                    f"losses.{name} is {weight:g}, but losses.{loss.path_key} is missing: "
                    f"name the weights, or set losses.{name} to 0"
                )

    @property
    def decoded(self) -> list[str]:
        """Names of the losses on decoded frames that are on."""
        return [name for name in DECODED_LOSSES if getattr(self, name)]


@dataclass(frozen=True)
class Estimate:
    """B windows of F frames as the U-Net estimates them in one step, with what is true.

    Attributes:
        latents: (B, C, F, h, w) estimated clean latents.
        target: (B, 3, F, R, R) real frames in [-1, 1].
        mel: (B, 1, 80, M) of the windows' sound, see `latentsync_core.audio.mel`.
        hears: (B,) bool, whether the U-Net was given the sound.
        vae: decodes the latents; frozen.
        checkpointing: decode a few frames at a time, and again in the backward pass, to save memory.
    """

    latents: Tensor
    target: Tensor
    mel: Tensor
    hears: Tensor
    vae: Autoencoder
    checkpointing: bool = False

    @cached_property
    def frames(self) -> Tensor:
        """(B, 3, F, R, R) float32, about [-1, 1]: the decoded estimate."""
        latents = rearrange(self.latents, "b c f h w -> (b f) c h w")
        if self.checkpointing:
            parts = latents.split(DECODED_AT_ONCE)
            decoded = torch.cat([checkpoint(decode_latents, self.vae, part, use_reentrant=False) for part in parts])
        else:
            decoded = decode_latents(self.vae, latents)
        return rearrange(decoded.float(), "(b f) c h w -> b c f h w", b=len(self.latents))


DecodedLoss = Callable[[Estimate], Tensor]


def load_decoded_losses(recipe: LossRecipe, num_frames: int, device: torch.device) -> dict[str, DecodedLoss]:
    """Read the networks of the losses that are on.

    Args:
        num_frames: of a window.

    Returns:
        by name (with `OF_STAND_IN` behind it where it applies), what gives the mean loss of an estimate's windows, a
        scalar that is not weighted yet.

    Raises:
        BadCheckpoint: if weights are missing or do not fit.
        BadOption: if a network takes another number of frames.
    """
    losses = {}
    for name in recipe.decoded:
        kind = DECODED_LOSSES[name]
        path = getattr(recipe, kind.path_key)
        suffix = OF_STAND_IN if path == STAND_IN or kind.is_stand_in(Path(path)) else ""
        losses[name + suffix] = kind.load(path, num_frames, device)
    return losses


def weight_of(recipe: LossRecipe, name: str) -> float:
    """The weight of a loss by its name in `load_decoded_losses`."""
    return float(getattr(recipe, name.removesuffix(OF_STAND_IN)))


def _load_sync(path: str, num_frames: int, device: torch.device) -> DecodedLoss:
    syncnet, config = load_syncnet(Path(path))
    syncnet.to(device)
    _refuse_other_length("sync", config["num_frames"], num_frames)

    def loss(estimate: Estimate) -> Tensor:
        hears = estimate.hears
        if not hears.any():
            return estimate.latents.new_zeros(())
        if config["space"] == "latent":
            return sync_loss(syncnet, estimate.latents[hears], estimate.mel[hears], estimate.latents.shape[-1])
        return sync_loss(syncnet, estimate.frames[hears], estimate.mel[hears], config["resolution"])

    return loss


def _load_lpips(path: str, num_frames: int, device: torch.device) -> DecodedLoss:
    if path == STAND_IN:
        distance = random_vgg_distance()
    elif Path(path).is_dir():
        distance = load_face_feature_distance(Path(path))
    else:
        distance = load_lpips(Path(path))
    distance.to(device)
    return lambda estimate: lpips_loss(distance, estimate.frames, estimate.target)


def _load_trepa(path: str, num_frames: int, device: torch.device) -> DecodedLoss:
    # here, because transformers takes seconds to load
    from latentsync_core.training.losses.trepa_loss import load_video_features, random_video_features, trepa_loss

    features = random_video_features(num_frames=num_frames) if path == STAND_IN else load_video_features(Path(path))
    modules: tuple[nn.Module, ...] = (features.encoder, features.norm)
    for module in modules:
        module.to(device)
    _refuse_other_length("trepa", features.num_frames, num_frames)
    return lambda estimate: trepa_loss(features, estimate.frames, estimate.target)


def _refuse_other_length(name: str, of_network: int, of_window: int) -> None:
    if of_network != of_window:
        raise BadOption(f"losses.{name}: its network takes {of_network} frames, window_frames is {of_window}")


class _Kind(NamedTuple):
    path_key: str
    load: Callable[[str, int, torch.device], DecodedLoss]
    is_stand_in: Callable[[Path], bool]  # whether the network in this path is


DECODED_LOSSES = {
    "sync": _Kind("syncnet_dir", _load_sync, lambda _: False),  # SyncNet is everybody's own
    "lpips": _Kind("vgg_path", _load_lpips, Path.is_dir),
    "trepa": _Kind("videomae_dir", _load_trepa, is_home_trained),
}
