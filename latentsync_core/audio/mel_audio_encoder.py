"""MelAudioEncoder: the small bundle's audio encoder, behind the same interface as Whisper's.

Dilated convolutions over Whisper's log-mel, and over what a network that knows much speech hears in it, give one state
every 20 ms that hears 0.9 s to either side. It is taught (latentsync_core.training.train_audio_encoder) to tell the
shape of the lips from the sound; `head` is that task's output and serves the U-Net as the last channels of each state.
"""

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from latentsync_core.audio.log_mel import whisper_log_mel
from latentsync_core.audio.speech_embedding import WIDTH as EMBEDDING_WIDTH
from latentsync_core.audio.speech_embedding import SpeechEmbedding

NUM_MELS = 80
SHAPE_GAIN = 8.0  # of the lip shape within a state, so that the U-Net finds it among the hidden channels


class DilatedBlock(nn.Module):
    """Pre-norm residual block: depth of time by a dilated convolution, then a pointwise mix; (B, C, T) -> (B, C, T)."""

    def __init__(self, channels: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, channels)
        self.spread = nn.Conv1d(channels, channels, 5, padding=2 * dilation, dilation=dilation)
        self.mix = nn.Conv1d(channels, channels, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.gelu(self.spread(self.norm(x)))
        return x + self.dropout(self.mix(hidden))


class HeardSpeech(nn.Module):
    """What a SpeechEmbedding hears, in the encoder's channels: (B, 80, 2 T) -> (B, C, T); nothing at first."""

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.network = SpeechEmbedding()
        self.norm = nn.BatchNorm1d(EMBEDDING_WIDTH, affine=False)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Conv1d(EMBEDDING_WIDTH, channels, 1, bias=False)
        nn.init.zeros_(self.out.weight)

    def forward(self, log_mel: Tensor) -> Tensor:
        return torch.cat([self.out(self.dropout(self.norm(piece))) for piece in self.network.pieces(log_mel)], dim=2)


class MelAudioEncoder(ModelMixin, ConfigMixin):
    """Speech to one state every 20 ms.

    Args:
        channels: width of the convolutions.
        dilations: of the residual blocks, in states.
        num_shape_components: lip-shape components that the head predicts.
        dropout: in training only.
        speech_embedding: whether a SpeechEmbedding listens besides.
    """

    config_name = "config.json"  # type: ignore[assignment]

    @register_to_config
    def __init__(
        self,
        channels: int = 192,
        dilations: tuple[int, ...] = (1, 2, 4, 1, 2, 4),
        num_shape_components: int = 8,
        dropout: float = 0.1,
        speech_embedding: bool = False,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv1d(NUM_MELS, channels, 5, padding=2),
            nn.GELU(),
            nn.Conv1d(channels, channels, 4, stride=2, padding=1),
        )
        self.blocks = nn.Sequential(*[DilatedBlock(channels, dilation, dropout) for dilation in dilations])
        self.heard = HeardSpeech(channels, 2 * dropout) if speech_embedding else None
        self.norm = nn.LayerNorm(channels)
        self.head = nn.Linear(channels, num_shape_components)

    @property
    def width(self) -> int:
        """D of the states: the hidden channels and the predicted lip shape."""
        width: int = self.config["channels"] + self.config["num_shape_components"]
        return width

    def forward(self, log_mel: Tensor) -> Tensor:
        """(B, 80, 2 T) log-mel at 100 per second -> (B, T, D) states at 50 per second, the lip shape last."""
        hidden = self.stem(log_mel)
        if self.heard is not None:
            hidden = hidden + self.heard(log_mel)
        hidden = self.blocks(hidden)
        hidden = self.norm(rearrange(hidden, "b c t -> b t c"))
        return torch.cat([hidden, SHAPE_GAIN * self.head(hidden)], dim=-1)

    @torch.no_grad()
    def encode(self, pcm: Tensor) -> Tensor:
        """Mono sound (N,) float32 in [-1, 1] at 16 kHz -> states (T, 1, D) float32, 50 per second."""
        parameter = next(self.parameters())
        log_mel = whisper_log_mel(pcm).to(parameter.device, parameter.dtype)
        log_mel = log_mel[..., : log_mel.shape[-1] // 2 * 2]
        return rearrange(self(log_mel[None]), "1 t d -> t 1 d").float()
