"""The levels of the U-Net: resnet, spatial transformer, temporal layer, in this order. Tensors are (B*F, C, H, W)."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from latentsync_core.models.attention import Transformer3DModel
from latentsync_core.models.motion_module import VanillaTemporalModule
from latentsync_core.models.resnet import Downsample3D, ResnetBlock3D, Upsample3D
from latentsync_core.models.unet_config import UNetConfig


class UNetBlock(nn.Module):
    """What all levels share: how a layer runs, and which optional layers follow a resnet."""

    resnets: nn.ModuleList
    #: None or one module per resnet, in the order of `resnets`
    attentions: nn.ModuleList | None
    motion_modules: nn.ModuleList | None

    def __init__(self) -> None:
        super().__init__()
        self.gradient_checkpointing = False

    def _run(self, layer: nn.Module, *inputs: Any) -> Tensor:
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return checkpoint(layer, *inputs, use_reentrant=False)
        return layer(*inputs)

    def _run_layer(
        self, index: int, hidden: Tensor, time_embedding: Tensor, audio: Tensor | None, num_frames: int
    ) -> Tensor:
        """Resnet `index` and what follows it."""
        hidden = self._run(self.resnets[index], hidden, time_embedding, num_frames)
        if self.attentions is not None:
            hidden = self._run(self.attentions[index], hidden, audio)
        if self.motion_modules is not None:
            hidden = self._run(self.motion_modules[index], hidden, num_frames)
        return hidden


class DownBlock(UNetBlock):
    """One level down: "CrossAttnDownBlock3D" with attention, "DownBlock3D" without."""

    def __init__(
        self, config: UNetConfig, in_channels: int, out_channels: int, *, attention: bool, motion: bool, last: bool
    ) -> None:
        super().__init__()
        layers = config.layers_per_block
        self.attentions = _attentions(config, out_channels, layers) if attention else None
        widths = [in_channels] + [out_channels] * (layers - 1)
        self.resnets = nn.ModuleList([_resnet(config, width, out_channels) for width in widths])
        self.motion_modules = _motion_modules(config, out_channels, layers) if motion else None
        self.downsamplers = None if last else nn.ModuleList([Downsample3D(out_channels)])

    def forward(
        self, hidden: Tensor, time_embedding: Tensor, audio: Tensor | None, num_frames: int
    ) -> tuple[Tensor, list[Tensor]]:
        """Give the result and what the up block of this level will see."""
        skips = []
        for index in range(len(self.resnets)):
            hidden = self._run_layer(index, hidden, time_embedding, audio, num_frames)
            skips.append(hidden)
        if self.downsamplers is not None:
            hidden = self.downsamplers[0](hidden)
            skips.append(hidden)
        return hidden, skips


class MidBlock(UNetBlock):
    """The coarsest level: resnet, then attention, temporal layer and resnet."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        channels = config.block_out_channels[-1]
        motion = config.use_motion_module and config.motion_module_mid_block
        self.attentions = _attentions(config, channels, 1)
        self.resnets = nn.ModuleList([_resnet(config, channels, channels) for _ in range(2)])
        self.motion_modules = _motion_modules(config, channels, 1) if motion else None

    def forward(self, hidden: Tensor, time_embedding: Tensor, audio: Tensor | None, num_frames: int) -> Tensor:
        hidden = self._run_layer(0, hidden, time_embedding, audio, num_frames)
        return self._run(self.resnets[1], hidden, time_embedding, num_frames)


class UpBlock(UNetBlock):
    """One level up: "CrossAttnUpBlock3D" with attention, "UpBlock3D" without."""

    def __init__(
        self,
        config: UNetConfig,
        in_channels: int,
        out_channels: int,
        skip_channels: list[int],
        *,
        attention: bool,
        motion: bool,
        last: bool,
    ) -> None:
        super().__init__()
        layers = len(skip_channels)
        self.attentions = _attentions(config, out_channels, layers) if attention else None
        widths = [in_channels] + [out_channels] * (layers - 1)
        self.resnets = nn.ModuleList(
            [_resnet(config, width + skip, out_channels) for width, skip in zip(widths, skip_channels, strict=True)]
        )
        self.motion_modules = _motion_modules(config, out_channels, layers) if motion else None
        self.upsamplers = None if last else nn.ModuleList([Upsample3D(out_channels)])

    def forward(
        self,
        hidden: Tensor,
        skips: list[Tensor],
        time_embedding: Tensor,
        audio: Tensor | None,
        num_frames: int,
    ) -> Tensor:
        """Consume the last skips of the list, and grow to the height and width of the first one left."""
        for index in range(len(self.resnets)):
            hidden = torch.cat([hidden, skips.pop()], dim=1)
            hidden = self._run_layer(index, hidden, time_embedding, audio, num_frames)
        if self.upsamplers is not None:
            hidden = self.upsamplers[0](hidden, skips[-1].shape[-2:])
        return hidden


def _resnet(config: UNetConfig, in_channels: int, out_channels: int) -> ResnetBlock3D:
    return ResnetBlock3D(
        in_channels,
        out_channels,
        config.block_out_channels[0] * 4,
        groups=config.norm_num_groups,
        eps=config.norm_eps,
        scale_shift=config.resnet_time_scale_shift == "scale_shift",
        norm_per_frame=config.use_inflated_groupnorm,
    )


def _attentions(config: UNetConfig, channels: int, count: int) -> nn.ModuleList:
    audio_dim = config.cross_attention_dim if config.add_audio_layer else None
    heads, groups = config.attention_head_dim, config.norm_num_groups
    return nn.ModuleList([Transformer3DModel(channels, heads, groups, audio_dim) for _ in range(count)])


def _motion_modules(config: UNetConfig, channels: int, count: int) -> nn.ModuleList:
    return nn.ModuleList([VanillaTemporalModule(channels, config.motion_module_kwargs) for _ in range(count)])
