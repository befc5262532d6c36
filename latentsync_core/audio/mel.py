"""The mel spectrogram that SyncNet hears, and its window for a stretch of video (Wav2Lip's, arXiv:2008.10010)."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from latentsync_core.audio.spectrum import SAMPLE_RATE, mel_filters, mel_magnitudes

N_FFT = 800
HOP = 200
MELS_PER_SECOND = SAMPLE_RATE // HOP
VIDEO_FPS = 25
LOWEST_HZ, HIGHEST_HZ = 55.0, 7600.0
PRE_EMPHASIS = 0.97
FLOOR = 1e-5
REFERENCE_DB = 20.0
RANGE_DB = 100.0
MAX_VALUE = 4.0


def syncnet_mel(pcm: Tensor) -> Tensor:
    """Turn a track into SyncNet's mel.

    Args:
        pcm: (N,) float mono samples in [-1, 1] at 16 kHz.

    Returns:
        (80, 1 + N // 200) float32 in [-4, 4], 80 per second. Computed in float64, as the published SyncNet's was.

    Raises:
        ValueError: if `pcm` is not a non-empty one-dimensional track.
    """
    if pcm.ndim != 1 or pcm.numel() == 0:
        raise ValueError(f"need a non-empty mono track, got shape {tuple(pcm.shape)}")
    samples = pcm.double()
    emphasised = samples - PRE_EMPHASIS * functional.pad(samples[:-1], (1, 0))
    padded = functional.pad(emphasised, (N_FFT // 2, N_FFT // 2))
    filters = mel_filters(N_FFT, LOWEST_HZ, HIGHEST_HZ)
    magnitudes = mel_magnitudes(padded, filters=filters, n_fft=N_FFT, hop=HOP, power=1)
    decibels = 20 * torch.log10(magnitudes.clamp(min=FLOOR)) - REFERENCE_DB
    scaled = 2 * MAX_VALUE * (decibels + RANGE_DB) / RANGE_DB - MAX_VALUE
    return scaled.clamp(-MAX_VALUE, MAX_VALUE).float()


def mel_window_length(num_frames: int) -> int:
    """Mel columns that belong to a stretch of 25 fps video: 52 for 16 frames."""
    return math.ceil(num_frames * MELS_PER_SECOND / VIDEO_FPS)


def cut_mel_window(mel: Tensor, first_frame: int, num_frames: int) -> Tensor | None:
    """Give the mel of a stretch of video.

    Args:
        mel: (80, T) at 80 per second.
        first_frame: index of the stretch's first frame at 25 fps.
        num_frames: frames in the stretch.

    Returns:
        (80, mel_window_length(num_frames)), or None where the window runs over the end of the sound: training
        takes another stretch then.
    """
    first = first_frame * MELS_PER_SECOND // VIDEO_FPS
    last = first + mel_window_length(num_frames)
    return mel[:, first:last] if last <= mel.shape[1] else None
