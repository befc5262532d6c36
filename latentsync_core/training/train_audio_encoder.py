"""Train the small bundle's audio encoder: predict the movement of the lips from the sound (`train-audio RECIPE.yaml`).

A quarter of an hour of speech cannot teach a U-Net what sounds look like through its denoising loss alone; predicting
a handful of lip-shape components can. The U-Net later hears the hidden states and the prediction.
"""

import csv
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from einops import reduce
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from latentsync_core.audio.mel_audio_encoder import SHAPE_GAIN, MelAudioEncoder
from latentsync_core.models.checkpoint import load_strictly, read_state_dict
from latentsync_core.training.face_clips import clip_weights, read_face_clips
from latentsync_core.training.lip_shape import fit_lip_shape
from latentsync_core.training.run_facts import describe_run
from latentsync_core.training.run_state import RunMark
from latentsync_core.training.speech_windows import SpeechClip, SpeechSampler, load_speech_clips
from latentsync_core.training.step_bar import StepBar

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AudioRecipe:
    """Everything about one run of the audio encoder."""

    data_dir: Path
    run_dir: Path
    init_from: str = ""  # weights to go on from: those of another run, or of a bundle's audio encoder
    speech_embedding: str = ""  # weights of a SpeechEmbedding that listens besides; "" = none
    embedding_rate: float = 0.2  # its learning rate over the others'
    steps: int = 700
    batch_size: int = 32
    window_frames: int = 48  # video frames per training window, at 25 fps
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    channels: int = 192
    num_shape_components: int = 8  # the opening and seven principal components
    dropout: float = 0.15
    silent_share: float = 0.2  # of the windows, with a stretch of silence
    silence_firmness: float = 1.0  # times as far from the median as the least open frames is a mouth closed in silence
    predicted_spread: float = 1.0  # of the lips' own, which the head's predictions get in the end
    ema_decay: float = 0.99  # of the averaged weights, which are validated and kept
    validate_every: int = 100
    seed: int = 1


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
def restore_spread(model: MelAudioEncoder, clips: list[SpeechClip], share: float, gain_at_most: float = 2.0) -> None:
    """Scale the head, as least squares shrinks what it cannot tell: predictions move `share` times as much as lips do.

    Components that are told badly (correlation below 0.3 on these clips) stay small.
    """
    model.eval()
    predictions = [predict_per_frame(model, clip.log_mel[None])[0] for clip in clips]
    spread = torch.stack([prediction.std(0) for prediction in predictions]).mean(0)
    wanted = torch.stack([clip.lip_shape.std(0) for clip in clips]).mean(0)
    told = [correlation(p[None], clip.lip_shape[None])[0] for p, clip in zip(predictions, clips, strict=True)]
    gain = (share * wanted / spread).clamp(1.0, gain_at_most).where(torch.stack(told).mean(0) > 0.3, torch.ones(()))
    model.head.weight.mul_(gain[:, None])
    model.head.bias.mul_(gain)
    log.info("gain of the components: %s", [round(value, 2) for value in gain.tolist()])


def begin_encoder(recipe: AudioRecipe) -> MelAudioEncoder:
    """Build the encoder that the recipe begins with; one to go on from may not have heard a SpeechEmbedding yet.

    Raises:
        BadCheckpoint: if weights do not fit.
    """
    model = MelAudioEncoder(
        recipe.channels,
        num_shape_components=recipe.num_shape_components,
        dropout=recipe.dropout,
        speech_embedding=bool(recipe.speech_embedding),
    )
    if model.heard is not None:
        load_strictly(model.heard.network, read_state_dict(Path(recipe.speech_embedding)), recipe.speech_embedding)
    if recipe.init_from:
        new = {name: value for name, value in model.state_dict().items() if name.startswith("heard.")}
        load_strictly(model, {**new, **read_state_dict(Path(recipe.init_from))}, recipe.init_from)
    return model


def learning_rates(model: MelAudioEncoder, recipe: AudioRecipe) -> list[dict[str, Any]]:
    """The optimiser's groups: a SpeechEmbedding learns slower than what is new."""
    known = [value for name, value in model.named_parameters() if name.startswith("heard.network.")]
    others = [value for name, value in model.named_parameters() if not name.startswith("heard.network.")]
    groups = [{"params": others, "lr": recipe.learning_rate}]
    return groups + ([{"params": known, "lr": recipe.embedding_rate * recipe.learning_rate}] if known else [])


def train_audio_encoder(recipe: AudioRecipe) -> MelAudioEncoder:
    """Run the recipe; keep the state that tells the opening best on held-out people in `run_dir/audio_encoder`."""
    torch.manual_seed(recipe.seed)
    train_clips = read_face_clips(recipe.data_dir, "train")
    basis = fit_lip_shape([clip.mesh for clip in train_clips], recipe.num_shape_components - 1)
    train_speech = load_speech_clips(train_clips, basis)
    val_speech = load_speech_clips(read_face_clips(recipe.data_dir, "val", ("real",)), basis)
    model = begin_encoder(recipe)
    optimizer = torch.optim.AdamW(learning_rates(model, recipe), weight_decay=recipe.weight_decay)
    highest = [group["lr"] for group in optimizer.param_groups]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, highest, recipe.steps, pct_start=0.1)
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema_decay))
    kept = cast(MelAudioEncoder, averaged.module)
    weights = clip_weights(train_clips)
    sampler = SpeechSampler(
        train_speech, weights, recipe.window_frames, recipe.silent_share, recipe.silence_firmness, recipe.seed
    )
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
            log_mel, target = sampler.batch(recipe.batch_size)
            prediction = predict_per_frame(model, log_mel)
            squared = ((prediction - target).clamp(-4, 4) ** 2 * component_weights).sum(-1).mean()
            loss = squared + 0.5 * ((1 - correlation(prediction, target)) * component_weights).sum(-1).mean()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            averaged.update_parameters(model)
            bar.show(step, time.monotonic() - start, loss.item())
            if step % recipe.validate_every == 0:
                scores = validate(kept, val_speech)
                writer.writerow([step, round(time.monotonic() - start), round(loss.item(), 4), *scores.round(3)])
                file.flush()
                bar.note(step, time.monotonic() - start, loss.item())
                if scores[0] > best:
                    best = float(scores[0])
                    kept.save_pretrained(recipe.run_dir / "audio_encoder")
    log.info("best opening correlation on held-out people: %.3f", best)
    model = MelAudioEncoder.from_pretrained(recipe.run_dir / "audio_encoder")
    restore_spread(model, train_speech, recipe.predicted_spread)
    model.save_pretrained(recipe.run_dir / "audio_encoder")
    return model
