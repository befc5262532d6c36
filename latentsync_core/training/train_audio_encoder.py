"""Train the small bundle's audio encoder: predict the movement of the lips from the sound (`train-audio RECIPE.yaml`).

A quarter of an hour of speech cannot teach a U-Net what sounds look like through its denoising loss alone; predicting
a handful of lip-shape components can. The U-Net later hears the hidden states and the prediction.
"""

import csv
import logging
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from einops import reduce
from numpy.typing import NDArray
from torch import Tensor

from latentsync_core.audio.log_mel import whisper_log_mel
from latentsync_core.audio.mel_audio_encoder import SHAPE_GAIN, MelAudioEncoder
from latentsync_core.training.face_clips import VIDEO_FPS, FaceClip, clip_weights, read_face_clips
from latentsync_core.training.lip_shape import LipShapeBasis, fit_lip_shape
from latentsync_core.training.run_facts import describe_run
from latentsync_core.training.run_state import RunMark
from latentsync_core.training.step_bar import StepBar

log = logging.getLogger(__name__)

MELS_PER_FRAME = 100 // VIDEO_FPS


@dataclass(frozen=True)
class AudioRecipe:
    """Everything about one run of the audio encoder."""

    data_dir: Path
    run_dir: Path
    steps: int = 2500
    batch_size: int = 32
    window_frames: int = 48  # video frames per training window, at 25 fps
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    channels: int = 192
    num_shape_components: int = 8  # the opening and seven principal components
    dropout: float = 0.15
    validate_every: int = 100
    seed: int = 1


@dataclass(frozen=True)
class SpeechClip:
    """Log-mel (80, 4 F) and lip movement (F, K) of one clip."""

    log_mel: Tensor
    lip_shape: Tensor


def load_speech_clips(clips: list[FaceClip], basis: LipShapeBasis) -> list[SpeechClip]:
    """Compute what training needs of each clip; sound is cut, or padded with its last column, to the picture."""
    speech = []
    for clip in clips:
        log_mel = whisper_log_mel(torch.from_numpy(clip.pcm))
        wanted = MELS_PER_FRAME * clip.num_frames
        if log_mel.shape[-1] < wanted:
            log_mel = torch.cat([log_mel, log_mel[:, -1:].expand(-1, wanted - log_mel.shape[-1])], dim=-1)
        speech.append(SpeechClip(log_mel[:, :wanted], torch.from_numpy(basis.project(clip.mesh))))
    return speech


def augment_log_mel(log_mel: Tensor, generator: np.random.Generator) -> Tensor:
    """Another voice, loudness, microphone and noise for one window (80, T) of normalised log-mel."""
    bands = torch.arange(80, dtype=torch.float32)
    warped = (bands * generator.uniform(0.88, 1.14)).clamp(0, 79)
    low = warped.floor().long()
    high = (low + 1).clamp(max=79)
    log_mel = torch.lerp(log_mel[low], log_mel[high], (warped - low)[:, None])
    tilt = generator.uniform(-0.15, 0.15) * torch.linspace(-1, 1, 80)[:, None]
    log_mel = log_mel + tilt + generator.uniform(-0.2, 0.2)
    if generator.random() < 0.5:  # stationary noise is a floor in the log domain
        log_mel = log_mel.clamp(min=float(log_mel.max()) - generator.uniform(0.7, 2.0))
    if generator.random() < 0.5:
        first, width = generator.integers(0, 70), generator.integers(1, 12)
        log_mel[first : first + width] = log_mel.mean()
    return log_mel


def sample_windows(
    clips: list[SpeechClip], weights: NDArray[np.float64], recipe: AudioRecipe, generator: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """One batch: log-mel (B, 80, 4 W) and lip movement (B, W, K)."""
    mels, shapes = [], []
    for index in generator.choice(len(clips), recipe.batch_size, p=weights):
        clip = clips[index]
        start = int(generator.integers(0, max(1, len(clip.lip_shape) - recipe.window_frames + 1)))
        frames = torch.arange(start, start + recipe.window_frames).clamp(max=len(clip.lip_shape) - 1)
        columns = (frames[:, None] * MELS_PER_FRAME + torch.arange(MELS_PER_FRAME)).flatten()
        mels.append(augment_log_mel(clip.log_mel[:, columns].clone(), generator))
        shapes.append(clip.lip_shape[frames])
    return torch.stack(mels), torch.stack(shapes)


def predict_per_frame(model: MelAudioEncoder, log_mel: Tensor) -> Tensor:
    """(B, 80, 4 F) -> lip shape (B, F, K): the mean of the two states that lie inside each video frame."""
    states = model(log_mel)[..., -model.config["num_shape_components"] :]
    return reduce(states / SHAPE_GAIN, "b (f s) k -> b f k", "mean", s=2)


def correlation(prediction: Tensor, target: Tensor) -> Tensor:
    """Pearson correlation along the frames, (B, F, K) each -> (B, K)."""
    prediction = prediction - prediction.mean(1, keepdim=True)
    target = target - target.mean(1, keepdim=True)
    return (prediction * target).sum(1) / (prediction.norm(dim=1) * target.norm(dim=1) + 1e-3)


@torch.no_grad()
def validate(model: MelAudioEncoder, clips: list[SpeechClip]) -> NDArray[np.float64]:
    """Mean correlation over clips the model never saw, (K,): the opening first."""
    model.eval()
    scores = [correlation(predict_per_frame(model, clip.log_mel[None]), clip.lip_shape[None])[0] for clip in clips]
    model.train()
    return torch.stack(scores).mean(0).double().numpy()


@torch.no_grad()
def restore_spread(model: MelAudioEncoder, clips: list[SpeechClip], gain_at_most: float = 2.0) -> None:
    """Scale the head so that predictions move as much as lips do: least squares shrinks what it cannot tell.

    Components that are told badly (correlation below 0.3 on these clips) stay small.
    """
    model.eval()
    predictions = [predict_per_frame(model, clip.log_mel[None])[0] for clip in clips]
    spread = torch.stack([prediction.std(0) for prediction in predictions]).mean(0)
    wanted = torch.stack([clip.lip_shape.std(0) for clip in clips]).mean(0)
    told = [correlation(p[None], clip.lip_shape[None])[0] for p, clip in zip(predictions, clips, strict=True)]
    gain = (wanted / spread).clamp(1.0, gain_at_most).where(torch.stack(told).mean(0) > 0.3, torch.ones(()))
    model.head.weight.mul_(gain[:, None])
    model.head.bias.mul_(gain)
    log.info("gain of the components: %s", [round(value, 2) for value in gain.tolist()])


def train_audio_encoder(recipe: AudioRecipe) -> MelAudioEncoder:
    """Run the recipe; keep the state that tells the opening best on held-out people in `run_dir/audio_encoder`."""
    torch.manual_seed(recipe.seed)
    generator = np.random.default_rng(recipe.seed)
    train_clips = read_face_clips(recipe.data_dir, "train")
    basis = fit_lip_shape([clip.mesh for clip in train_clips], recipe.num_shape_components - 1)
    train_speech = load_speech_clips(train_clips, basis)
    val_speech = load_speech_clips(read_face_clips(recipe.data_dir, "val", ("real",)), basis)
    model = MelAudioEncoder(recipe.channels, num_shape_components=recipe.num_shape_components, dropout=recipe.dropout)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, recipe.steps, pct_start=0.1)
    weights = clip_weights(train_clips)
    component_weights = torch.tensor([2.0] + [1.0] * (recipe.num_shape_components - 1))
    component_weights /= component_weights.sum()
    best = -1.0
    describe_run(recipe, "train-audio")
    start = time.monotonic()
    with (
        RunMark(recipe.run_dir),
        (recipe.run_dir / "validation.csv").open("w", newline="") as file,
        StepBar(recipe.steps, float("inf"), 0, 0.0, is_main=True) as bar,
    ):
        writer = csv.writer(file)
        shapes = [f"component_{number}" for number in range(2, recipe.num_shape_components + 1)]
        writer.writerow(["step", "seconds", "training_loss", "opening", *shapes])  # from "opening" on correlations
        for step in range(1, recipe.steps + 1):
            log_mel, target = sample_windows(train_speech, weights, recipe, generator)
            prediction = predict_per_frame(model, log_mel)
            squared = ((prediction - target).clamp(-4, 4) ** 2 * component_weights).sum(-1).mean()
            loss = squared + 0.5 * ((1 - correlation(prediction, target)) * component_weights).sum(-1).mean()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            bar.show(step, time.monotonic() - start, loss.item())
            if step % recipe.validate_every == 0:
                scores = validate(model, val_speech)
                writer.writerow([step, round(time.monotonic() - start), round(loss.item(), 4), *scores.round(3)])
                file.flush()
                bar.note(step, time.monotonic() - start, loss.item())
                if scores[0] > best:
                    best = float(scores[0])
                    model.save_pretrained(recipe.run_dir / "audio_encoder")
    log.info("best opening correlation on held-out people: %.3f", best)
    model = MelAudioEncoder.from_pretrained(recipe.run_dir / "audio_encoder")
    restore_spread(model, train_speech)
    model.save_pretrained(recipe.run_dir / "audio_encoder")
    return model
