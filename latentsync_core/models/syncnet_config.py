"""What makes one StableSyncNet: the facts of its configuration file. No torch here."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

#: Strides in (height, width); one number in a configuration file means both.
Stride = tuple[int, int]


@dataclass(frozen=True)
class SyncEncoderConfig:
    """One of the two encoders: every entry of `block_out_channels` is a resnet, perhaps followed by attention.

    Attributes:
        in_channels: frames x channels of the pictures, or 1 for the mel.
        block_out_channels: width after each resnet; the last one is the embedding's width.
        downsample_factors: stride after each resnet; the last one must end at 1x1.
        attn_blocks: whether attention follows each resnet.
        norm_num_groups: of all GroupNorms.
    """

    in_channels: int
    block_out_channels: tuple[int, ...]
    downsample_factors: tuple[Stride, ...]
    attn_blocks: tuple[bool, ...]
    norm_num_groups: int = 32

    def __post_init__(self) -> None:
        count = len(self.block_out_channels)
        if len(self.downsample_factors) != count or len(self.attn_blocks) != count:
            raise ValueError(f"{count} blocks need {count} downsample_factors and {count} attn_blocks")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "SyncEncoderConfig":
        """Read `audio_encoder` or `visual_encoder` of an official file; without `attn_blocks` there is no attention.

        Raises:
            ValueError: if the lists do not fit each other, or a dropout is asked for: it has no weights and the
                published networks have none.
        """
        if values.get("dropout", 0.0):
            raise ValueError("SyncNet configuration: dropout is not supported")
        channels = tuple(values["block_out_channels"])
        strides = tuple((s, s) if isinstance(s, int) else (s[0], s[1]) for s in values["downsample_factors"])
        attention = values.get("attn_blocks", [False] * len(channels))
        return cls(
            in_channels=values["in_channels"],
            block_out_channels=channels,
            downsample_factors=strides,
            attn_blocks=tuple(bool(flag) for flag in attention),
            norm_num_groups=values.get("norm_num_groups", 32),
        )


@dataclass(frozen=True)
class SyncNetConfig:
    """StableSyncNet: one encoder for the mel, one for the pictures, embeddings of one width."""

    audio_encoder: SyncEncoderConfig
    visual_encoder: SyncEncoderConfig

    def __post_init__(self) -> None:
        if self.audio_encoder.block_out_channels[-1] != self.visual_encoder.block_out_channels[-1]:
            raise ValueError("the two encoders must end in the same width")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "SyncNetConfig":
        """Read the `model` part of an official file, or `to_dict`'s output."""
        return cls(
            SyncEncoderConfig.from_dict(values["audio_encoder"]),
            SyncEncoderConfig.from_dict(values["visual_encoder"]),
        )

    def to_dict(self) -> dict[str, Any]:
        """Give a JSON-ready dict; `from_dict` reads it back."""
        return asdict(self)
