"""The denoising network: Stable Diffusion's U-Net over clips, hearing audio (LatentSync, arXiv:2412.09262, 3.1).

Parameter names and arithmetic are those of the published checkpoints. Frames are folded into the batch once, at
the entrance; only the norms over all frames and the temporal layers unfold them.

Initialisation of a new network differs from the official one in one point: `conv_in` is not zeroed, because
that serves only to start from Stable Diffusion's weights.
"""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from latentsync_core.models.embeddings import TimestepEmbedding, timestep_sinusoid
from latentsync_core.models.resnet import FrameGroupNorm
from latentsync_core.models.unet_blocks import DownBlock, MidBlock, UNetBlock, UpBlock
from latentsync_core.models.unet_config import UNetConfig


class UNet3DConditionModel(nn.Module):
    """Predicts the noise (or the clean latents: the scheduler knows) of a clip of latent frames."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.block_out_channels
        self.conv_in = nn.Conv2d(config.in_channels, widths[0], kernel_size=3, padding=1)
        self.time_embedding = TimestepEmbedding(widths[0], widths[0] * 4)
        self.down_blocks = _down_blocks(config)
        self.up_blocks = _up_blocks(config)
        self.mid_block = MidBlock(config)
        self.conv_norm_out = FrameGroupNorm(
            config.norm_num_groups, widths[0], config.norm_eps, config.use_inflated_groupnorm
        )
        self.conv_out = nn.Conv2d(widths[0], config.out_channels, kernel_size=3, padding=1)
        for parameter in self.conv_out.parameters():
            nn.init.zeros_(parameter)

    def set_gradient_checkpointing(self, enabled: bool) -> None:
        """Trade time for memory in training: keep only what enters a layer, compute the rest again."""
        for module in self.modules():
            if isinstance(module, UNetBlock):
                module.gradient_checkpointing = enabled

    def forward(
        self, sample: Tensor, timestep: Tensor | float | int, encoder_hidden_states: Tensor | None = None
    ) -> Tensor:
        """Denoise one clip per batch item.

        Args:
            sample: (B, C, F, H, W), C = config.in_channels: noise, mask, masked and reference latents.
            timestep: 0..999, one for all or (B,).
            encoder_hidden_states: audio tokens (B, F, S, D) or (B*F, S, D). None skips the audio attention;
                zeros do not: they are the unconditional half of guidance.

        Returns:
            (B, config.out_channels, F, H, W).
        """
        batch, _, num_frames, _, _ = sample.shape
        audio = encoder_hidden_states
        if audio is not None and audio.ndim == 4:
            audio = rearrange(audio, "b f s d -> (b f) s d")
        time_embedding = self._embed_time(timestep, batch, sample)
        hidden = rearrange(sample, "b c f h w -> (b f) c h w").contiguous()

        hidden = self.conv_in(hidden)
        skips = [hidden]
        for down in self.down_blocks:
            hidden, new_skips = down(hidden, time_embedding, audio, num_frames)
            skips += new_skips
        hidden = self.mid_block(hidden, time_embedding, audio, num_frames)
        for up in self.up_blocks:
            hidden = up(hidden, skips, time_embedding, audio, num_frames)

        hidden = self.conv_out(functional.silu(self.conv_norm_out(hidden, num_frames)))
        return rearrange(hidden, "(b f) c h w -> b c f h w", f=num_frames)

    def _embed_time(self, timestep: Tensor | float | int, batch: int, sample: Tensor) -> Tensor:
        timesteps = torch.as_tensor(timestep, device=sample.device).expand(batch)
        sinusoid = timestep_sinusoid(timesteps, self.config.block_out_channels[0])
        return self.time_embedding(sinusoid.to(self.time_embedding.linear_1.weight.dtype))


def _down_blocks(config: UNetConfig) -> nn.ModuleList:
    blocks = []
    width = config.block_out_channels[0]
    for level, (kind, out_width) in enumerate(zip(config.down_block_types, config.block_out_channels, strict=True)):
        blocks.append(
            DownBlock(
                config,
                width,
                out_width,
                attention=kind == "CrossAttnDownBlock3D",
                motion=_has_motion(config, level) and not config.motion_module_decoder_only,
                last=level == len(config.block_out_channels) - 1,
            )
        )
        width = out_width
    return nn.ModuleList(blocks)


def _up_blocks(config: UNetConfig) -> nn.ModuleList:
    # what the down blocks leave behind: conv_in, then per level its resnets and its downsampler
    widths, layers = config.block_out_channels, config.layers_per_block
    skips = [widths[0]]
    for level, width in enumerate(widths):
        skips += [width] * (layers + (level < len(widths) - 1))
    blocks = []
    width = widths[-1]
    for index, kind in enumerate(config.up_block_types):
        level = len(widths) - 1 - index
        skip_channels = [skips.pop() for _ in range(layers + 1)]
        blocks.append(
            UpBlock(
                config,
                width,
                widths[level],
                skip_channels,
                attention=kind == "CrossAttnUpBlock3D",
                motion=_has_motion(config, level),
                last=level == 0,
            )
        )
        width = widths[level]
    return nn.ModuleList(blocks)


def _has_motion(config: UNetConfig, level: int) -> bool:
    return config.use_motion_module and 2**level in config.motion_module_resolutions
