"""The recipe of one stage of a U-Net (arXiv:2412.09262, section 3)."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from latentsync_core.errors import BadOption
from latentsync_core.training.decoded_losses import DECODED_LOSSES, STAND_IN, LossRecipe
from latentsync_core.training.face_clips import VIDEO_FPS
from latentsync_core.training.trainer import Schedule

RESOLUTION = 256  # of the aligned crops, pixels
OFFICIAL_MASK = "official"  # in place of a path: that of the published models
CHOICES = {"precision": ("bf16", "fp16", "fp32"), "device": ("auto", "cpu", "cuda")}


HELD_OUT_FRAMES = 100  # of each held-out clip are looked at, the first ones


@dataclass(frozen=True)
class ValidationRecipe:
    """What is measured on the people of split `val`, by the averaged weights; see `unet_validation`."""

    steps: int = 0  # between two validations, one more at the end; 0 = never
    windows: int = 32  # judged by their one-step estimate
    generated: int = 0  # windows that are generated from noise, for their movement and the judges
    judges: dict[str, Any] = field(default_factory=dict)  # by name, folders of SyncNets; they teach nothing
    sample_clips: int = 2  # of which sample videos are generated; 0 = none
    sample_seconds: float = 2.0
    denoising_steps: int = 20  # of what is generated
    guidance: float = 1.5

    def __post_init__(self) -> None:
        if self.judges and not self.generated:
            raise BadOption("validation.judges look at generated windows: validation.generated says of how many")
        if not 0 < self.sample_seconds * VIDEO_FPS <= HELD_OUT_FRAMES:
            raise BadOption(f"validation.sample_seconds must be in 0..{HELD_OUT_FRAMES / VIDEO_FPS:g}")


@dataclass(frozen=True)
class UNetRecipe:
    """Everything about one U-Net run; lengths are in optimiser steps unless named otherwise."""

    data_dir: Path
    run_dir: Path
    vae_dir: Path
    audio_encoder_dir: Path
    mask_path: Path  # a picture, white = kept; or official
    cache_dir: Path
    model: dict[str, Any]  # the U-Net's configuration
    scheduler: dict[str, Any]  # the DDIM scheduler's configuration
    losses: LossRecipe = field(default_factory=LossRecipe)
    validation: ValidationRecipe = field(default_factory=ValidationRecipe)
    init_from: str = ""  # weights of the stage before: its unet.pt, or a bundle's unet/model.safetensors
    trainable: tuple[str, ...] = ("",)  # name parts of the parameters that learn; "" is all
    residual_reference: bool = True  # the network predicts the change against the reference latents
    variants: int = 2  # looks of every clip
    other_surroundings: float = 0.0  # share of frames around whose hole another frame is shown; single frames only
    quiet_share: float = 0.0  # of frames whose lips are closed and which hear a quiet room; single frames only
    frame_stride: int = 3
    frames_per_clip: int = 100
    window_frames: int = 1
    steps: int = 20_000
    max_minutes: float = 60.0
    batch_size: int = 24  # windows
    batches_per_step: int = 1  # whose gradients are averaged
    precision: str = "bf16"  # of the arithmetic, or fp16 (with loss scaling) or fp32; the weights are float32 always
    gradient_checkpointing: bool = False  # activations are computed again in the backward pass: less memory, more time
    device: str = "auto"  # or cpu or cuda
    learning_rate: float = 4e-4
    warmup_steps: int = 200
    weight_decay: float = 0.01
    audio_dropout: float = 0.1
    true_shape_share: float = 0.0  # of windows that hear the true lip shape in place of the predicted one
    true_shape_noise: float = 0.3  # standard deviations added to it
    context_frames: int = 2
    timestep_power: float = 0.45  # of a uniform number in 0..1 that picks the timestep; 1 = uniform, less = noisier
    hole_weight: float = 1.0
    mouth_weight: float = 0.0
    outside_weight: float = 0.05
    adversarial_weight: float = 0.0  # of the discriminator's gradient, relative to the reconstruction's
    adversarial_start: int = 300  # the discriminator learns alone until then, and the weight rises as long again
    discriminator_rate: float = 1e-3
    init_discriminator_from: str = ""  # discriminator.pt of the stage before
    ema_decay: float = 0.999
    checkpoint_minutes: float = 4.0
    checkpoint_steps: int = 0  # 0 = by the clock only
    generated_weight: float = 0.5
    seed: int = 1

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise BadOption(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        for name in ("other_surroundings", "quiet_share"):
            if getattr(self, name) and self.window_frames > 1:
                raise BadOption(f"{name} is for single frames: window_frames 1")
        prediction_type = self.scheduler.get("prediction_type", "epsilon")
        if self.residual_reference and prediction_type != "sample":
            raise BadOption(f"residual_reference needs scheduler.prediction_type: sample, not {prediction_type}")
        consecutive = [name for name in ("sync", "trepa") if getattr(self.losses, name)]
        if consecutive and self.frame_stride != 1:
            raise BadOption(
                f"losses.{consecutive[0]} needs consecutive frames: frame_stride 1, not {self.frame_stride}"
            )

    @property
    def files(self) -> dict[str, Path]:
        """By key, the files and folders that must be there before a run starts, its clips aside."""
        named = {name: getattr(self, name) for name in ("vae_dir", "audio_encoder_dir", "mask_path")}
        named |= {name: getattr(self, name) for name in ("init_from", "init_discriminator_from")}
        for name in self.losses.decoded:
            key = DECODED_LOSSES[name].path_key
            named[f"losses.{key}"] = getattr(self.losses, key)
        named |= {f"validation.judges.{name}": folder for name, folder in self.validation.judges.items()}
        return {key: Path(path) for key, path in named.items() if str(path) not in ("", STAND_IN, OFFICIAL_MASK)}

    def schedule(self) -> Schedule:
        """The part that the trainer needs."""
        names = ("steps", "max_minutes", "learning_rate", "warmup_steps", "ema_decay")
        more = ("checkpoint_minutes", "checkpoint_steps", "batches_per_step")
        return Schedule(**{name: getattr(self, name) for name in names + more})
