"""What the small bundle's audio encoder learns from: windows of log-mel with the movement of the lips.

A quarter of an hour of speech is little: each window is heard at another pace, from another voice, through another
microphone, over another recording's sound. Silence, of which the recordings hold next to none, is put in.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentsync_core.audio.log_mel import whisper_log_mel
from latentsync_core.training.face_clips import VIDEO_FPS, FaceClip
from latentsync_core.training.lip_shape import LipShapeBasis

MELS_PER_FRAME = 100 // VIDEO_FPS
STRETCH = 0.2  # of the pace, either way
NOISY_SHARE = 0.5  # of windows heard over another recording
NOISE_BELOW = (0.4, 1.2)  # how far below the window's sound, in Whisper's log-mel: 4 of them are ten powers of ten
SILENT_LEVELS = (-1.5, -0.1)  # mean log-mel of digital silence, and of a room with a recorder's noise
SILENT_TILT = 0.5  # of rooms: their lowest band lies up to so far above the mean, their highest one below
SOFTER_THAN_SPEECH = 0.5  # so far below the window's loud frames lies a silence at least
CLOSED_PERCENTILE = 4  # of a clip's opening, below which its mouth counts as closed
CLOSING_FRAMES = 3  # from speech to the closed mouth
NATURAL = 4 * np.log(10)  # of one unit of Whisper's log-mel


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


class SpeechSampler:
    """Draws windows of speech.

    Args:
        clips: to learn from.
        weights: (N,) probabilities of the clips.
        window_frames: W, frames of a window at 25 fps.
        silent_share: of windows with a stretch of silence.
        firmness: of the mouths closed in it, see `closed_lips`.
        seed: of everything drawn.
    """

    def __init__(
        self,
        clips: list[SpeechClip],
        weights: NDArray[np.float64],
        window_frames: int,
        silent_share: float,
        firmness: float,
        seed: int,
    ) -> None:
        self._clips = clips
        self._silent_share = silent_share
        self._weights = weights
        self._frames = window_frames
        self._generator = np.random.default_rng(seed)
        self._closed = closed_lips(clips, firmness)

    def batch(self, size: int) -> tuple[Tensor, Tensor]:
        """One batch: log-mel (B, 80, 4 W) and lip movement (B, W, K)."""
        windows = [self._window(self._clips[index]) for index in self._draw(size)]
        mels, shapes = zip(*windows, strict=True)
        return torch.stack(mels), torch.stack(shapes)

    def _draw(self, size: int) -> NDArray[np.int64]:
        return self._generator.choice(len(self._clips), size, p=self._weights)

    def _window(self, clip: SpeechClip) -> tuple[Tensor, Tensor]:
        generator = self._generator
        pace = generator.uniform(1 - STRETCH, 1 + STRETCH)
        start = generator.uniform(0, max(1e-6, len(clip.lip_shape) - self._frames * pace))
        log_mel, shape = stretch_window(clip, start, pace, self._frames)
        log_mel = augment_log_mel(log_mel, generator)
        if generator.random() < NOISY_SHARE:
            (other,) = self._draw(1)
            log_mel = mix_log_mel(log_mel, self._clips[other].log_mel, generator)
        if generator.random() < self._silent_share:
            return put_silence(log_mel, shape, self._closed, generator)
        return log_mel, shape


def closed_lips(clips: list[SpeechClip], firmness: float) -> Tensor:
    """The lip shape (K,) of a closed mouth: `firmness` times the mean over the clips' least open frames."""
    shapes = [clip.lip_shape for clip in clips]
    least = [shape[shape[:, 0] <= torch.quantile(shape[:, 0], CLOSED_PERCENTILE / 100)].mean(0) for shape in shapes]
    return firmness * torch.stack(least).mean(0)


def stretch_window(clip: SpeechClip, start: float, pace: float, num_frames: int) -> tuple[Tensor, Tensor]:
    """Read a window from frame `start` on at another pace: log-mel (80, 4 W) and lip movement (W, K)."""
    shape = _read_at(clip.lip_shape, start + pace * torch.arange(num_frames))
    middle = (MELS_PER_FRAME - 1) / 2  # of a frame's columns: what stays with the frame
    columns = pace * (torch.arange(MELS_PER_FRAME * num_frames) - middle) + middle
    return _read_at(clip.log_mel.T, MELS_PER_FRAME * start + columns).T.contiguous(), shape


def _read_at(values: Tensor, positions: Tensor) -> Tensor:
    """Rows of (N, C) at fractional positions (M,), the ends continued -> (M, C)."""
    positions = positions.clamp(0, len(values) - 1)
    low = positions.floor().long()
    return torch.lerp(values[low], values[(low + 1).clamp(max=len(values) - 1)], (positions - low)[:, None])


def augment_log_mel(log_mel: Tensor, generator: np.random.Generator) -> Tensor:
    """Another voice, loudness, microphone and noise for one window (80, T) of normalised log-mel."""
    bands = torch.arange(80, dtype=torch.float32)
    log_mel = _read_at(log_mel, bands * generator.uniform(0.88, 1.14))
    tilt = generator.uniform(-0.15, 0.15) * torch.linspace(-1, 1, 80)[:, None]
    log_mel = log_mel + tilt + generator.uniform(-0.2, 0.2)
    if generator.random() < 0.5:  # stationary noise is a floor in the log domain
        log_mel = log_mel.clamp(min=float(log_mel.max()) - generator.uniform(0.7, 2.0))
    if generator.random() < 0.5:
        first, width = generator.integers(0, 70), generator.integers(1, 12)
        log_mel[first : first + width] = log_mel.mean()
    return log_mel


def mix_log_mel(log_mel: Tensor, other: Tensor, generator: np.random.Generator) -> Tensor:
    """Hear a window (80, T) over another recording (80, any), more softly; powers add."""
    length = log_mel.shape[1]
    start = int(generator.integers(0, max(1, other.shape[1] - length + 1)))
    noise = other[:, (start + torch.arange(length)) % other.shape[1]] - generator.uniform(*NOISE_BELOW)
    return torch.logaddexp(NATURAL * log_mel, NATURAL * noise) / NATURAL


def put_silence(
    log_mel: Tensor, shape: Tensor, closed: Tensor, generator: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Silence a stretch of a window, or all of it; there the mouth (W, K) closes.

    Speech's own lips go over into the closed ones (K,) within CLOSING_FRAMES on either side of the stretch.
    """
    frames = len(shape)
    length = int(generator.integers(frames // 4, frames + frames // 2))  # longer ones cover the window
    start = int(generator.integers(min(0, frames - length), max(0, frames - length) + 1))
    lowest, highest = SILENT_LEVELS
    loud = float(torch.quantile(log_mel.mean(0), 0.95))
    highest = max(lowest, min(highest, loud - SOFTER_THAN_SPEECH))
    level = highest - (highest - lowest) * generator.random() ** 2  # rooms more often than digital silence
    tilt, roughness = generator.uniform(0, SILENT_TILT) * np.linspace(1, -1, len(log_mel)), generator.uniform(0, 0.2)
    column = np.arange(log_mel.shape[1]) // MELS_PER_FRAME
    is_silent = torch.from_numpy((column >= start) & (column < start + length))
    rough = roughness * generator.standard_normal(tuple(log_mel.shape))
    noise = torch.from_numpy(level + tilt[:, None] + rough).float()
    frame = np.arange(frames)
    inside = np.minimum(frame - start + 1, start + length - frame)  # 1 = the stretch's first and last frame
    share = torch.from_numpy(np.clip(inside / CLOSING_FRAMES, 0, 1)).float()[:, None]
    return torch.where(is_silent, noise, log_mel), torch.lerp(shape, closed.expand_as(shape), share)
