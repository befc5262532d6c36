"""Whisper's log-mel, as the published LatentSync checkpoints hear it (arXiv:2412.09262, 3.1).

It differs from Hugging Face's feature extractor: the floor follows the loudest instant of the WHOLE track, and
padding to 30 s comes after the normalisation (see whisper_encoder), so the edges are heard differently.
"""

import torch
from torch import Tensor
from torch.nn import functional

from latentsync_core.audio.spectrum import SAMPLE_RATE, mel_filters, mel_magnitudes

N_FFT = 400
HOP = 160
LOG_MELS_PER_SECOND = SAMPLE_RATE // HOP
#: Reflection needs more samples than it mirrors.
MIN_SAMPLES = N_FFT // 2 + 1


def whisper_log_mel(pcm: Tensor) -> Tensor:
    """Turn a whole track into Whisper's input.

    Args:
        pcm: (N,) float mono samples in [-1, 1] at 16 kHz.

    Returns:
        (80, N // 160) at 100 per second, about [-1, 1.5], in the dtype and on the device of `pcm`.

    Raises:
        ValueError: if `pcm` is not a one-dimensional track of at least MIN_SAMPLES samples.
    """
    if pcm.ndim != 1 or pcm.shape[0] < MIN_SAMPLES:
        raise ValueError(f"need a mono track of at least {MIN_SAMPLES} samples, got shape {tuple(pcm.shape)}")
    padded = functional.pad(pcm[None], (N_FFT // 2, N_FFT // 2), mode="reflect")[0]
    filters = mel_filters(N_FFT, 0.0, SAMPLE_RATE / 2)
    energies = mel_magnitudes(padded, filters=filters, n_fft=N_FFT, hop=HOP, power=2)
    energies = energies[:, : pcm.shape[0] // HOP]  # the last column is dropped
    log_mel = energies.clamp(min=1e-10).log10()
    if log_mel.numel() == 0:
        return log_mel
    return (torch.maximum(log_mel, log_mel.max() - 8.0) + 4.0) / 4.0
