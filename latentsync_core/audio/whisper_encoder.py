"""Whisper's encoder as LatentSync hears with it: five states per 20 ms, without the final norm (arXiv:2412.09262, 3.1).

The network is transformers' `WhisperEncoder`; OpenAI's own files (`tiny.pt`) and Hugging Face's both load.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional
from transformers import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from latentsync_core.audio.log_mel import whisper_log_mel
from latentsync_core.models.checkpoint import load_strictly, read_state_dict

#: OpenAI's names of the parts of the encoder, and transformers' names. Order matters: first match wins.
_OPENAI_TO_TRANSFORMERS = (
    (r"^positional_embedding$", "embed_positions.weight"),
    (r"^ln_post\.", "layer_norm."),
    (r"^blocks\.(\d+)\.attn_ln\.", r"layers.\1.self_attn_layer_norm."),
    (r"^blocks\.(\d+)\.mlp_ln\.", r"layers.\1.final_layer_norm."),
    (r"^blocks\.(\d+)\.mlp\.0\.", r"layers.\1.fc1."),
    (r"^blocks\.(\d+)\.mlp\.2\.", r"layers.\1.fc2."),
    (r"^blocks\.(\d+)\.attn\.query\.", r"layers.\1.self_attn.q_proj."),
    (r"^blocks\.(\d+)\.attn\.key\.", r"layers.\1.self_attn.k_proj."),
    (r"^blocks\.(\d+)\.attn\.value\.", r"layers.\1.self_attn.v_proj."),
    (r"^blocks\.(\d+)\.attn\.out\.", r"layers.\1.self_attn.out_proj."),
)


@dataclass(frozen=True)
class WhisperEncoderConfig:
    """Sizes of the encoder under OpenAI's names; the defaults are Whisper tiny."""

    n_mels: int = 80
    n_audio_ctx: int = 1500
    n_audio_state: int = 384
    n_audio_head: int = 6
    n_audio_layer: int = 4

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "WhisperEncoderConfig":
        """Read the `dims` of an OpenAI file (its text sizes are ignored) or our own config.json."""
        return cls(**{name: int(values[name]) for name in cls.__dataclass_fields__ if name in values})


class WhisperAudioEncoder(nn.Module):
    """Speech to (T, L, D) states: before the first block and after each one, L = layers + 1."""

    def __init__(self, config: WhisperEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = WhisperEncoder(
            WhisperConfig(
                num_mel_bins=config.n_mels,
                max_source_positions=config.n_audio_ctx,
                d_model=config.n_audio_state,
                encoder_attention_heads=config.n_audio_head,
                encoder_layers=config.n_audio_layer,
                encoder_ffn_dim=4 * config.n_audio_state,
            )
        )

    @classmethod
    def from_file(cls, path: Path) -> "WhisperAudioEncoder":
        """Load a whole Whisper (OpenAI's `tiny.pt` or Hugging Face's safetensors); only its encoder is kept.

        Raises:
            BadCheckpoint: if the file is unreadable or its encoder does not fit its own sizes.
        """
        weights = encoder_weights(read_state_dict(path))
        network = cls(_sizes_of(weights))
        load_strictly(network.encoder, weights, str(path))
        return network.eval()

    def forward(self, log_mel: Tensor) -> Tensor:
        """(B, 80, 2 * n_audio_ctx) log-mel -> (B, n_audio_ctx, L, D) states, without the final norm."""
        hidden = functional.gelu(self.encoder.conv1(log_mel))
        hidden = functional.gelu(self.encoder.conv2(hidden))
        hidden = rearrange(hidden, "b d t -> b t d") + self.encoder.embed_positions.weight
        states = [hidden]
        for layer in self.encoder.layers:
            hidden = layer(hidden, None)
            states.append(hidden)
        return torch.stack(states, dim=2)  # (B, T, L, D)

    @torch.no_grad()
    def encode(self, pcm: Tensor) -> Tensor:
        """Hear a whole track, in windows of 30 s that know nothing of each other.

        The last window is padded with 0.0 after the normalisation, which is louder than silence: the published
        checkpoints learnt with it.

        Args:
            pcm: (N,) float mono samples in [-1, 1] at 16 kHz.

        Returns:
            (T, L, D), 50 per second, float32 (float64 for float64 weights), on the encoder's device.
        """
        parameter = self.encoder.conv1.weight
        log_mel = whisper_log_mel(pcm)
        window = 2 * self.config.n_audio_ctx
        states = []
        for first in range(0, log_mel.shape[1], window):
            part = log_mel[:, first : first + window]
            padded = functional.pad(part, (0, window - part.shape[1])).to(parameter)
            states.append(self(padded[None])[0, : part.shape[1] // 2])
        features = torch.cat(states)
        return features if features.dtype == torch.float64 else features.float()


def encoder_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Pick the encoder out of a whole Whisper and give its parts transformers' names.

    Keys of the decoder are dropped; any other stays under its own name, for `load_strictly` to refuse.
    """
    picked = {}
    for key, value in weights.items():
        name = key.removeprefix("model.")
        if name.startswith("decoder.") or name == "proj_out.weight":
            continue
        if name.startswith("encoder."):
            name = _transformers_name(name.removeprefix("encoder."))
        picked[name] = value
    return picked


def _transformers_name(name: str) -> str:
    for pattern, replacement in _OPENAI_TO_TRANSFORMERS:
        renamed, count = re.subn(pattern, replacement, name)
        if count:
            return renamed
    return name


def _sizes_of(weights: Mapping[str, Tensor]) -> WhisperEncoderConfig:
    """Read the sizes off the weights; every head of every Whisper is 64 wide."""
    tiny = WhisperEncoderConfig()
    conv, positions = weights.get("conv1.weight"), weights.get("embed_positions.weight")
    if conv is None or positions is None:
        return tiny  # load_strictly will say what is missing
    layers = {key.split(".")[1] for key in weights if key.startswith("layers.")}
    return WhisperEncoderConfig(
        n_mels=conv.shape[1],
        n_audio_ctx=positions.shape[0],
        n_audio_state=conv.shape[0],
        n_audio_head=conv.shape[0] // 64,
        n_audio_layer=len(layers),
    )
