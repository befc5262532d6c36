"""The recipe of a SyncNet run, and the network that it asks for (arXiv:2412.09262, sections 3.3 and 4.3)."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from latentsync_core.errors import BadOption
from latentsync_core.models.checkpoint import load_strictly, read_state_dict
from latentsync_core.models.syncnet import StableSyncNet
from latentsync_core.models.wav2lip_syncnet import EMBEDDING_DIMS, Wav2LipSyncNet
from latentsync_core.training.syncnet_model import PictureShape, refuse_misfit, stable_syncnet_config
from latentsync_core.training.trainer import Schedule

CHOICES = {
    "architecture": ("stable", "wav2lip"),
    "space": ("pixel", "latent"),
    "precision": ("bf16", "fp32"),
    "device": ("auto", "cpu", "cuda"),
}


@dataclass(frozen=True)
class SyncNetRecipe:
    """Everything about one SyncNet run; lengths are in optimiser steps unless named otherwise."""

    data_dir: Path
    run_dir: Path
    cache_dir: Path  # mels, and pictures of another resolution or latents
    architecture: str = "stable"  # or wav2lip, which takes 5 frames of 256 or 96 px
    model: dict[str, Any] = field(default_factory=dict)  # of a stable one; see stable_syncnet_config
    embedding_dim: int = 0  # 0 = as the model has it
    speech_embedding: str = ""  # weights of a SpeechEmbedding that listens besides and stays as it is; "" = none
    num_frames: int = 16
    resolution: int = 256  # of the whole aligned face, pixels
    space: str = "pixel"  # or latent, of the autoencoder
    vae_dir: str = ""
    steps: int = 100_000
    max_minutes: float = math.inf  # a run that ends by the clock cannot be repeated exactly
    batch_size: int = 64  # windows
    batches_per_step: int = 1
    learning_rate: float = 1e-5
    warmup_steps: int = 200
    weight_decay: float = 0.01
    ema_decay: float = 0.0  # 0 = the weights are not averaged
    precision: str = "bf16"  # of the arithmetic, or fp32; the weights are float32 always
    min_negative_shift: int = 1  # frames at least between a window and its wrong sound
    windows_per_clip: int = 1  # above 1 each is compared with all their sounds; the paper's pairs are with 1
    contrast_weight: float = 0.0  # of a term of ours beside the paper's loss; needs several windows of a clip
    lip_reading_weight: float = 0.0  # of a term of ours: what embeddings do not tell of the mouth (mouth_loss.py)
    augment: bool = False  # change pictures and sound (window_changes.py); of latents the sound alone
    generated_weight: float = 0.5  # of generated footage among real one
    log_every: int = 50
    validate_every: int = 500
    validation_items: int = 512  # windows of held-out people
    stuck_after: int = 2000  # steps at chance before the alarm
    checkpoint_steps: int = 0  # 0 = by the clock only
    checkpoint_minutes: float = 10.0
    keep_checkpoints: int = 2
    num_workers: int = 0  # processes that load windows
    device: str = "auto"
    seed: int = 1

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise BadOption(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        if (self.space == "latent") != bool(self.vae_dir):
            raise BadOption("space: latent and vae_dir belong together")
        if self.windows_per_clip < 1 or self.batch_size % self.windows_per_clip:
            many = self.windows_per_clip
            raise BadOption(f"batch_size {self.batch_size} must be a multiple of windows_per_clip {many}")
        if self.contrast_weight and self.windows_per_clip == 1:
            raise BadOption("contrast_weight needs windows_per_clip above 1: there is nothing to compare with")
        if self.lip_reading_weight and self.windows_per_clip == 1:
            raise BadOption("lip_reading_weight needs windows_per_clip above 1: sounds that are the mouth's own")
        changed = self.model or self.embedding_dim or self.speech_embedding or self.space == "latent"
        if self.architecture == "wav2lip" and changed:
            raise BadOption("wav2lip is fixed: no model, no embedding_dim, no speech_embedding, no space: latent")
        if self.model.get("audio_encoder", {}).get("speech_embedding"):
            raise BadOption("speech_embedding stands beside model, and names the weights")
        if self.architecture == "wav2lip" and self.resolution not in EMBEDDING_DIMS:
            raise BadOption(f"architecture: wav2lip takes faces of 256 or 96 px, not of {self.resolution}")

    def schedule(self) -> Schedule:
        """The part that the trainer needs."""
        names = ("steps", "max_minutes", "learning_rate", "warmup_steps", "ema_decay", "checkpoint_minutes")
        more = ("checkpoint_steps", "keep_checkpoints", "batches_per_step", "log_every")
        return Schedule(**{name: getattr(self, name) for name in names + more})


def build_syncnet(recipe: SyncNetRecipe, picture: PictureShape) -> nn.Module:
    """The network of the recipe, with random weights.

    Raises:
        BadOption: if it does not fit the pictures or the sound.
    """

    def build() -> nn.Module:
        if recipe.architecture == "wav2lip":
            return Wav2LipSyncNet(recipe.num_frames, recipe.resolution)
        return StableSyncNet(stable_syncnet_config(model, recipe.num_frames, picture, recipe.embedding_dim))

    model = recipe.model
    if recipe.speech_embedding:
        model = {**model, "audio_encoder": {**model.get("audio_encoder", {}), "speech_embedding": True}}
    with torch.device("meta"):
        refuse_misfit(build(), recipe.num_frames, picture)
    network = build()
    if isinstance(network, StableSyncNet) and network.audio_encoder.speech is not None:
        known = read_state_dict(Path(recipe.speech_embedding))
        load_strictly(network.audio_encoder.speech.embedding, known, recipe.speech_embedding)
    return network
