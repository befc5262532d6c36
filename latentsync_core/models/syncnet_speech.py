"""What SyncNet's audio encoder hears through a network that learnt from very much speech; for little data, ours.

SyncNet's mel is brought back to powers and on to the bands that Google's `speech_embedding` knows, which tells what the
window's sounds are; a few convolutions then bring the window to one vector, beside that of the usual resnets.
"""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from latentsync_core.audio.mel import (
    HIGHEST_HZ,
    LOWEST_HZ,
    MAX_VALUE,
    MELS_PER_SECOND,
    N_FFT,
    PRE_EMPHASIS,
    RANGE_DB,
    REFERENCE_DB,
)
from latentsync_core.audio.spectrum import mel_filters
from latentsync_core.audio.speech_embedding import FRAMES_LOST, SpeechEmbedding, bands_of_mels
from latentsync_core.audio.speech_embedding import WIDTH as EMBEDDING_WIDTH

BANDS_PER_SECOND = 100
SAMPLE_POWER = 9.0309  # log10: 16-bit samples
OWN_LOUDNESS = 2.0 - 0.3876  # log10: the network's constant; a voice in its windows of 512 samples instead of 800
CHANNELS, WIDER = 128, 256
POSITIONS = 8  # in time, of which the vector is made
DROPOUT = 0.3


class SpeechWindowEncoder(nn.Module):
    """SyncNet's mel (B, 1, 80, M) in [-4, 4] -> (B, D); the SpeechEmbedding in it stays as it is.

    Args:
        width: D.
        groups: of the last norm.
    """

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.to_bands: Tensor
        self.log_gains: Tensor
        to_bands, log_gains = mel_to_powers()
        self.register_buffer("to_bands", to_bands.float(), persistent=False)
        self.register_buffer("log_gains", log_gains.float(), persistent=False)
        self.embedding = SpeechEmbedding().requires_grad_(False)
        self.norm_in = nn.BatchNorm1d(EMBEDDING_WIDTH, affine=False)
        self.layers = nn.Sequential(
            nn.Dropout(DROPOUT),
            nn.Conv1d(EMBEDDING_WIDTH, CHANNELS, 1),
            nn.GELU(),
            nn.Conv1d(CHANNELS, WIDER, 4, stride=2, padding=1),
            nn.GELU(),
            nn.Conv1d(WIDER, WIDER, 4, stride=2, padding=1),
            nn.GELU(),
            nn.AdaptiveAvgPool1d(POSITIONS),
            nn.Flatten(),
            nn.Dropout(DROPOUT),
            nn.Linear(WIDER * POSITIONS, width),
            nn.GroupNorm(groups, width),
        )

    def forward(self, mel: Tensor) -> Tensor:
        heard: Tensor = self.embedding.hear_bands(self.bands(mel))
        vector: Tensor = self.layers(self.norm_in(heard))
        return vector

    @torch.autocast("cuda", enabled=False)
    @torch.autocast("cpu", enabled=False)
    def bands(self, mel: Tensor) -> Tensor:
        """(B, 1, 80, M) -> logarithms of the bands' powers (B, 2 T + 2 FRAMES_LOST, 32), 2 T at 100 per second."""
        decibels = (mel[:, 0].float() + MAX_VALUE) * RANGE_DB / (2 * MAX_VALUE) - RANGE_DB + REFERENCE_DB
        logarithms = decibels / 10 + self.log_gains[:, None]
        powers = torch.einsum("sm,bmt->bst", self.to_bands, 10**logarithms)
        length = mel.shape[-1] * BANDS_PER_SECOND // MELS_PER_SECOND // 2 * 2
        at_pace = functional.interpolate(powers.log10() + OWN_LOUDNESS + SAMPLE_POWER, size=length, mode="linear")
        return rearrange(functional.pad(at_pace, (FRAMES_LOST, FRAMES_LOST), mode="replicate"), "b s t -> b t s")


def mel_to_powers() -> tuple[Tensor, Tensor]:
    """How SyncNet's mels become powers of bands: what to multiply with (32, 80), and before it to add to twice the
    logarithms of the mels (80,).

    A mel is a weighted sum of magnitudes after a pre-emphasis. Its square over the sum of the weights is the power
    where the spectrum is flat within the mel.
    """
    filters = mel_filters(N_FFT, LOWEST_HZ, HIGHEST_HZ)
    angles = 2 * torch.pi * torch.arange(filters.shape[1], dtype=filters.dtype, device=filters.device) / N_FFT
    emphasis = (1 + PRE_EMPHASIS**2 - 2 * PRE_EMPHASIS * torch.cos(angles)).sqrt()
    return bands_of_mels(N_FFT, LOWEST_HZ, HIGHEST_HZ), -torch.log10((filters * emphasis).sum(1) ** 2 / filters.sum(1))
