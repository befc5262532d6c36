"""What makes one StableSyncNet: the facts of its configuration file. No torch here."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

#: Strides in (height, width); one number in a configuration file means both.
Stride = tuple[int, int]


def as_stride(value: Any) -> Stride:
    """Read (height, width); one number means both."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])


@dataclass(frozen=True)
class SyncEncoderConfig:
    """One of the two encoders: every entry of `block_out_channels` is a resnet, perhaps followed by attention.

    Attributes:
        in_channels: frames x channels of the pictures, or 1 for the mel.
        block_out_channels: width after each resnet; the last one is the embedding's width.
        downsample_factors: stride after each resnet; the last one must end at 1x1.
        attn_blocks: whether attention follows each resnet.
        norm_num_groups: of all GroupNorms.
        patch_size: height and width of the patches that the first convolution turns into one position each, without
            overlap; (1, 1), the published networks', is a 3 x 3 convolution at every position instead. Ours: most of a
            CPU's time goes into the first, high-resolution blocks, and a patch skips them.
        kernel_sizes: of each resnet's convolutions; 3, the published networks', if left out. Where a block sees 1 x 1,
            a 3 is a 1 with eight useless weights for every useful one: they meet the zeros around the map only.
        motion_frames: of a window, whose mean picture is taken away from each of them: what is left is how the face
            moves, not who it is. 0, the published networks' = nothing is taken away. Ours, for little data.
        speech_embedding: whether a network that knows much speech hears the mel besides (syncnet_speech.py). Ours, for
            little data.
    """

    in_channels: int
    block_out_channels: tuple[int, ...]
    downsample_factors: tuple[Stride, ...]
    attn_blocks: tuple[bool, ...]
    norm_num_groups: int = 32
    patch_size: Stride = (1, 1)
    kernel_sizes: tuple[int, ...] = ()
    motion_frames: int = 0
    speech_embedding: bool = False

    def __post_init__(self) -> None:
        count = len(self.block_out_channels)
        if self.kernel_sizes and (len(self.kernel_sizes) != count or not set(self.kernel_sizes) <= {1, 3}):
            raise ValueError(f"{count} blocks need {count} kernel_sizes, each 1 or 3")
        if self.motion_frames and self.in_channels % self.motion_frames:
            raise ValueError(f"{self.in_channels} channels are not those of {self.motion_frames} motion_frames")
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
        strides = tuple(as_stride(value) for value in values["downsample_factors"])
        attention = values.get("attn_blocks", [False] * len(channels))
        return cls(
            in_channels=values["in_channels"],
            block_out_channels=channels,
            downsample_factors=strides,
            attn_blocks=tuple(bool(flag) for flag in attention),
            norm_num_groups=values.get("norm_num_groups", 32),
            patch_size=as_stride(values.get("patch_size", 1)),
            kernel_sizes=tuple(values.get("kernel_sizes", ())),
            motion_frames=values.get("motion_frames", 0),
            speech_embedding=values.get("speech_embedding", False),
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
