"""SpeechEmbedding: convolutions that learnt from very much speech what it is made of, for the small audio encoder.

The network is Google's `speech_embedding` without its last layer (Apache-2.0; Lin et al., "Training Keyword Spotters
with Limited and Synthesized Speech Data", arXiv:2002.01322, section 2). It was made to say one vector every 80 ms; here
each stage says what it hears every 20 ms: where it would drop every other instant, the later layers are spread instead.
"""

from collections.abc import Iterator
from functools import cache

import torch
from einops import rearrange
from scipy.optimize import nnls
from torch import Tensor, nn
from torch.nn import functional as F

from latentsync_core.audio.log_mel import N_FFT
from latentsync_core.audio.spectrum import SAMPLE_RATE, mel_filters

NUM_BANDS = 32
LOWEST_HZ, HIGHEST_HZ = 60.0, 3800.0
WIDTH = 72 * 8 + 96 * 4 + 96 * 2  # channels times bands of the last three stages
FRAMES_LOST = 28  # of log-mel at either end, by convolutions without padding
PIECE = 3000  # of log-mel, even
FLOOR = -0.4  # of every activation
LOUDER = 2.0 + 9.0309 + 0.1072  # log10: its own constant, 16-bit samples, a window of 512 samples instead of 400


def activate(x: Tensor) -> Tensor:
    """Leaky ReLU that ends at FLOOR."""
    return F.leaky_relu(x, 0.2).clamp(min=FLOOR)


class BandsAndTime(nn.Module):
    """Over three bands, then over three instants `spread` apart: (B, C, T, S) -> (B, D, T - 2 spread, S)."""

    def __init__(self, in_channels: int, out_channels: int, spread: int) -> None:
        super().__init__()
        self.bands = nn.Conv2d(in_channels, out_channels, (1, 3), padding=(0, 1))
        self.time = nn.Conv2d(out_channels, out_channels, (3, 1), dilation=(spread, 1))

    def forward(self, x: Tensor) -> Tensor:
        return activate(self.time(activate(self.bands(x))))


class SpeechEmbedding(nn.Module):
    """Whisper's log-mel to what the last three stages hear at 50 per second."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("from_mels", bands_of_mels(N_FFT, 0.0, SAMPLE_RATE / 2).float(), persistent=False)
        self.first = nn.Conv2d(1, 24, 3, padding=(0, 1), bias=False)
        self.first_scale = nn.Parameter(torch.ones(24, 1, 1))
        self.first_shift = nn.Parameter(torch.zeros(24, 1, 1))
        self.stages = nn.ModuleList(
            [
                BandsAndTime(24, 24, 1),
                nn.Sequential(BandsAndTime(24, 48, 1), BandsAndTime(48, 48, 1)),
                nn.Sequential(BandsAndTime(48, 72, 1), BandsAndTime(72, 72, 1)),
                nn.Sequential(BandsAndTime(72, 96, 2), BandsAndTime(96, 96, 2)),
                nn.Sequential(BandsAndTime(96, 96, 2), BandsAndTime(96, 96, 2)),
            ]
        )

    def forward(self, log_mel: Tensor) -> Tensor:
        """(B, 80, 2 T) of `whisper_log_mel` -> (B, WIDTH, T)."""
        return torch.cat(list(self.pieces(log_mel)), dim=2)

    def pieces(self, log_mel: Tensor) -> Iterator[Tensor]:
        """The same piece by piece, in order: PIECE // 2 states or fewer. A long track's fits no memory at once."""
        powers = torch.einsum("sm,bmt->bts", self.from_mels, 10 ** (4 * log_mel - 4))
        bands = F.pad(powers.log10() + LOUDER, (0, 0, FRAMES_LOST, FRAMES_LOST), mode="replicate")
        for start in range(0, log_mel.shape[-1], PIECE):
            yield self.hear_bands(bands[:, start : start + PIECE + 2 * FRAMES_LOST])

    def hear_bands(self, bands: Tensor) -> Tensor:
        """Logarithms (base 10) of the bands' powers, 100 per second, (B, 2 T + 2 FRAMES_LOST, 32) -> (B, WIDTH, T)."""
        x = activate(F.relu(self.first(bands[:, None])) * self.first_scale + self.first_shift)
        x = F.max_pool2d(self.stages[0](x), (2, 2))
        x = F.max_pool2d(self.stages[1](x), (1, 2))
        third = self.stages[2](x)
        fourth = self.stages[3](F.max_pool2d(third, (2, 2), stride=(1, 2)))  # stride 2 in time as it was made
        fifth = self.stages[4](F.max_pool2d(fourth, (1, 2)))
        length = bands.shape[1] // 2 - FRAMES_LOST
        return torch.cat([_middle(stage, length) for stage in (third, fourth, fifth)], dim=1)


def _middle(x: Tensor, length: int) -> Tensor:
    """The `length` instants in the middle of (B, C, T, S) -> (B, C S, length)."""
    start = (x.shape[2] - length) // 2
    return rearrange(x[:, :, start : start + length], "b c t s -> b (c s) t")


@cache
def bands_of_mels(n_fft: int, low_hz: float, high_hz: float) -> Tensor:
    """(32, 80) float64 that make the network's bands (Slaney's, 60-3800 Hz) of other mels: nearest, none negative."""
    mels = mel_filters(n_fft, low_hz, high_hz).numpy()
    bands = mel_filters(n_fft, LOWEST_HZ, HIGHEST_HZ, NUM_BANDS).numpy()
    return torch.stack([torch.from_numpy(nnls(mels.T, band)[0]) for band in bands])
