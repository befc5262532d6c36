"""Mel filters and short-time spectra that both log-mels of the method are made of."""

from functools import lru_cache

import torch
from torch import Tensor
from transformers.audio_utils import mel_filter_bank

SAMPLE_RATE = 16_000
NUM_MELS = 80

#: STFT columns per block, so that an hour of sound never lies in memory as one complex spectrum.
_COLUMNS_PER_BLOCK = 6000


@lru_cache(maxsize=8)
def mel_filters(n_fft: int, low_hz: float, high_hz: float, num_mels: int = NUM_MELS) -> Tensor:
    """Slaney's mel filters with area normalisation: (num_mels, n_fft // 2 + 1) float64."""
    bank = mel_filter_bank(
        num_frequency_bins=n_fft // 2 + 1,
        num_mel_filters=num_mels,
        min_frequency=low_hz,
        max_frequency=high_hz,
        sampling_rate=SAMPLE_RATE,
        norm="slaney",
        mel_scale="slaney",
    )
    return torch.from_numpy(bank.T.copy())


def mel_magnitudes(padded: Tensor, *, filters: Tensor, n_fft: int, hop: int, power: int) -> Tensor:
    """Mel energies of a signal that carries its padding already.

    Args:
        padded: (N + n_fft,) samples, half a window of padding on either side.
        filters: (80, n_fft // 2 + 1).
        n_fft: length of the periodic Hann window.
        hop: samples between columns.
        power: exponent of the magnitudes, 1 or 2.

    Returns:
        (80, 1 + N // hop) in the signal's dtype.
    """
    filters = filters.to(padded)
    window = torch.hann_window(n_fft, dtype=padded.dtype, device=padded.device)
    columns = 1 + (padded.shape[0] - n_fft) // hop
    blocks = []
    for first in range(0, columns, _COLUMNS_PER_BLOCK):
        last = min(first + _COLUMNS_PER_BLOCK, columns) - 1
        block = padded[first * hop : last * hop + n_fft]
        spectrum = torch.stft(block, n_fft, hop, window=window, center=False, return_complex=True)
        blocks.append(filters @ spectrum.abs().pow(power))
    return torch.cat(blocks, dim=1)
