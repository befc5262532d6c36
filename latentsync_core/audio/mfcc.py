"""Mel-frequency cepstral coefficients as SyncNet v2 hears them (python_speech_features' definition and defaults).

25 ms rectangular windows every 10 ms, pre-emphasis 0.97, 26 triangular filters with edges on whole FFT bins, the log of
their energies through an orthonormal DCT, liftered by 22, and the log energy of the window in place of the first
coefficient. Levels are those of 16-bit samples: the log energy depends on them, and so does the network.
"""

from functools import lru_cache
from math import ceil

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

SAMPLE_RATE = 16_000
WINDOW, STEP, N_FFT = 400, 160, 512
NUM_FILTERS, NUM_COEFFICIENTS = 26, 13
PRE_EMPHASIS, LIFTER = 0.97, 22
TINY = float(np.finfo(float).eps)

Float64Array = NDArray[np.float64]


def speech_mfcc(pcm: NDArray[np.int16]) -> Float64Array:
    """Give the coefficients of a track.

    Args:
        pcm: (N,) int16 mono samples at 16 kHz, at least one.

    Returns:
        (T, 13) at 100 per second; the last window is filled up with zeros.
    """
    samples = pcm.astype(np.float64)
    emphasised = np.append(samples[:1], samples[1:] - PRE_EMPHASIS * samples[:-1])
    count = 1 + max(0, ceil((len(samples) - WINDOW) / STEP))
    padded = np.pad(emphasised, (0, max(0, (count - 1) * STEP + WINDOW - len(samples))))
    windows = padded[np.arange(count)[:, None] * STEP + np.arange(WINDOW)[None]]  # (T, window)
    power = np.abs(np.fft.rfft(windows, N_FFT)) ** 2 / N_FFT  # (T, bins)
    energies = _not_zero(power @ _filters().T)  # (T, filters)
    cepstrum = dct(np.log(energies), type=2, axis=1, norm="ortho")[:, :NUM_COEFFICIENTS]
    cepstrum *= 1 + LIFTER / 2 * np.sin(np.pi * np.arange(NUM_COEFFICIENTS) / LIFTER)
    cepstrum[:, 0] = np.log(_not_zero(power.sum(axis=1)))
    return np.asarray(cepstrum)


@lru_cache(maxsize=1)
def _filters() -> Float64Array:
    """Triangles (26, 257) between 0 Hz and 8 kHz, evenly spaced in mel."""
    highest = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, highest, NUM_FILTERS + 2) / 2595) - 1)
    edges = np.floor((N_FFT + 1) * hertz / SAMPLE_RATE)
    bins = np.arange(N_FFT // 2 + 1)[None]
    left, middle, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising = (bins - left) / (middle - left)
    falling = (right - bins) / (right - middle)
    inside = (bins >= left) & (bins < right)
    return np.asarray(np.where(inside, np.where(bins < middle, rising, falling), 0.0))


def _not_zero(values: Float64Array) -> Float64Array:
    return np.where(values == 0, TINY, values)
