"""The recipe of one stage of a U-Net (arXiv:2412.09262, section 3)."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from latentsync_core.errors import BadOption
from latentsync_core.training.decoded_losses import LossRecipe
from latentsync_core.training.trainer import Schedule

RESOLUTION = 256  # of the aligned crops, pixels
CHOICES = {"precision": ("bf16", "fp16", "fp32"), "device": ("auto", "cpu", "cuda")}


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
    losses: LossRecipe = field(default_factory=LossRecipe)
    init_from: str = ""  # weights of the stage before: its unet.pt, or a bundle's unet/model.safetensors
    trainable: tuple[str, ...] = ("",)  # name parts of the parameters that learn; "" is all
    residual_reference: bool = True  # the network predicts the change against the reference latents
    variants: int = 2  # looks of every clip
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
        prediction_type = self.scheduler.get("prediction_type", "epsilon")
        if self.residual_reference and prediction_type != "sample":
            raise BadOption(f"residual_reference needs scheduler.prediction_type: sample, not {prediction_type}")
        consecutive = [name for name in ("sync", "trepa") if getattr(self.losses, name)]
        if consecutive and self.frame_stride != 1:
            raise BadOption(
                f"losses.{consecutive[0]} needs consecutive frames: frame_stride 1, not {self.frame_stride}"
            )

    def schedule(self) -> Schedule:
        """The part that the trainer needs."""
        names = ("steps", "max_minutes", "learning_rate", "warmup_steps", "ema_decay")
        more = ("checkpoint_minutes", "checkpoint_steps", "batches_per_step")
        return Schedule(**{name: getattr(self, name) for name in names + more})
