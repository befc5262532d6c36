"""What makes one U-Net: the facts of its configuration file. No torch here."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

#: Switches that appear in official configuration files but name a part that no published checkpoint uses.
#: A file may carry them with these values only.
_INERT = {
    "act_fn": ("silu",),
    "center_input_sample": (False,),
    "class_embed_type": (None,),
    "downsample_padding": (1,),
    "dual_cross_attention": (False,),
    "flip_sin_to_cos": (True,),
    "freq_shift": (0,),
    "mid_block_scale_factor": (1,),
    "mid_block_type": ("UNetMidBlock3DCrossAttn",),
    "motion_module_type": ("Vanilla",),
    "num_class_embeds": (None,),
    "only_cross_attention": (False,),
    "unet_use_cross_frame_attention": (False, None),
    "unet_use_temporal_attention": (False, None),
    "upcast_attention": (False,),
    "use_linear_projection": (False,),
}
#: Keys that say nothing about the network itself.
_IGNORED = ("sample_size", "_class_name", "_diffusers_version")


@dataclass(frozen=True)
class MotionModuleConfig:
    """One temporal transformer (AnimateDiff type): attention over the frames of every pixel.

    Attributes:
        num_attention_heads: heads of every attention.
        num_transformer_block: transformer blocks in a module.
        attention_block_types: the attentions of a block; only "Temporal_Self" is known.
        temporal_position_encoding: add the sinusoid table of the frame's index before every attention.
        temporal_position_encoding_max_len: rows of that table, the most frames one pass may have.
        temporal_attention_dim_div: inner width = channels / this.
        zero_initialize: start as the identity (output projection zero).
    """

    num_attention_heads: int = 8
    num_transformer_block: int = 1
    attention_block_types: tuple[str, ...] = ("Temporal_Self", "Temporal_Self")
    temporal_position_encoding: bool = True
    temporal_position_encoding_max_len: int = 24
    temporal_attention_dim_div: int = 1
    zero_initialize: bool = True

    def __post_init__(self) -> None:
        unknown = set(self.attention_block_types) - {"Temporal_Self"}
        if unknown:
            raise ValueError(f"unknown temporal attention: {', '.join(sorted(unknown))}")


@dataclass(frozen=True)
class UNetConfig:
    """The 3-D U-Net; the defaults are the official stage 2 network (LatentSync 1.5 and 1.6).

    Attributes:
        in_channels, out_channels: latent channels in (noise + mask + masked + reference) and out.
        block_out_channels: width of every level, the finest first.
        down_block_types: "CrossAttnDownBlock3D" or "DownBlock3D" per level.
        up_block_types: "CrossAttnUpBlock3D" or "UpBlock3D" per level, the coarsest first.
        layers_per_block: resnets of a down block; an up block has one more.
        attention_head_dim: the NUMBER of heads of the spatial attentions (the official name misleads).
        cross_attention_dim: width D of the audio tokens.
        add_audio_layer: whether the spatial transformers hear the audio at all.
        norm_num_groups, norm_eps: of the resnet norms and the last norm.
        resnet_time_scale_shift: "default" adds the time embedding, "scale_shift" modulates with it.
        use_inflated_groupnorm: resnet norms per frame instead of over all frames together.
        use_motion_module: whether there are temporal transformers.
        motion_module_resolutions: levels that have one, as 2^level.
        motion_module_mid_block: also in the middle.
        motion_module_decoder_only: none in the down blocks.
        motion_module_kwargs: of the temporal transformers.
    """

    in_channels: int = 13
    out_channels: int = 4
    block_out_channels: tuple[int, ...] = (320, 640, 1280, 1280)
    down_block_types: tuple[str, ...] = (
        "CrossAttnDownBlock3D",
        "CrossAttnDownBlock3D",
        "CrossAttnDownBlock3D",
        "DownBlock3D",
    )
    up_block_types: tuple[str, ...] = (
        "UpBlock3D",
        "CrossAttnUpBlock3D",
        "CrossAttnUpBlock3D",
        "CrossAttnUpBlock3D",
    )
    layers_per_block: int = 2
    attention_head_dim: int = 8
    cross_attention_dim: int = 384
    add_audio_layer: bool = True
    norm_num_groups: int = 32
    norm_eps: float = 1e-5
    resnet_time_scale_shift: str = "default"
    use_inflated_groupnorm: bool = False
    use_motion_module: bool = True
    motion_module_resolutions: tuple[int, ...] = (1, 2, 4, 8)
    motion_module_mid_block: bool = False
    motion_module_decoder_only: bool = False
    motion_module_kwargs: MotionModuleConfig = field(default_factory=MotionModuleConfig)

    def __post_init__(self) -> None:
        levels = len(self.block_out_channels)
        if len(self.down_block_types) != levels or len(self.up_block_types) != levels:
            raise ValueError(f"{levels} levels need {levels} down and {levels} up block types")
        unknown = set(self.down_block_types) - {"CrossAttnDownBlock3D", "DownBlock3D"}
        unknown |= set(self.up_block_types) - {"CrossAttnUpBlock3D", "UpBlock3D"}
        if unknown:
            raise ValueError(f"unknown block types: {', '.join(sorted(unknown))}")
        if self.resnet_time_scale_shift not in ("default", "scale_shift"):
            raise ValueError(f"unknown resnet_time_scale_shift {self.resnet_time_scale_shift!r}")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "UNetConfig":
        """Read the `model` part of an official configuration file, or `to_dict`'s output.

        PyYAML reads `1e-5` as a string, so numbers may come as text. The partial `motion_module_kwargs` of a
        file leave the rest at the official values.

        Raises:
            ValueError: for an unknown key, or a switch whose part is not built here.
        """
        known = {f.name for f in fields(cls)}
        for key, value in values.items():
            if key in _INERT and value not in _INERT[key]:
                raise ValueError(f"U-Net configuration: {key} = {value!r} is not supported")
            if key not in known and key not in _INERT and key not in _IGNORED:
                raise ValueError(f"U-Net configuration: unknown key {key!r}")
        chosen = {key: _frozen(value) for key, value in values.items() if key in known}
        if "norm_eps" in chosen:
            chosen["norm_eps"] = float(chosen["norm_eps"])
        motion = {key: _frozen(value) for key, value in (chosen.get("motion_module_kwargs") or {}).items()}
        chosen["motion_module_kwargs"] = MotionModuleConfig(**motion)
        return cls(**chosen)

    def to_dict(self) -> dict[str, Any]:
        """Give a JSON-ready dict; `from_dict` reads it back."""
        return asdict(self)


def _frozen(value: Any) -> Any:
    """Lists to tuples: configuration files and JSON know no tuples."""
    if isinstance(value, (str, Mapping)) or not hasattr(value, "__iter__"):
        return value
    return tuple(value)
