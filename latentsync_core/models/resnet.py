"""Convolution layers of the U-Net, over frames folded into the batch: tensors are (B*F, C, H, W)."""

from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional


class FrameGroupNorm(nn.GroupNorm):
    """GroupNorm whose statistics run over all frames of a clip together, or over each frame.

    The official networks take them over all frames: a change in one frame moves the others even without
    temporal layers.
    """

    def __init__(self, num_groups: int, channels: int, eps: float, per_frame: bool) -> None:
        super().__init__(num_groups, channels, eps=eps)
        self.per_frame = per_frame

    def forward(self, hidden: Tensor, num_frames: int = 1) -> Tensor:
        if self.per_frame or num_frames == 1:
            return super().forward(hidden)
        clip = rearrange(hidden, "(b f) c h w -> b c f h w", f=num_frames)
        return rearrange(super().forward(clip), "b c f h w -> (b f) c h w").contiguous()


class ResnetBlock3D(nn.Module):
    """Norm, SiLU, convolution, twice, with the time embedding in between (official name kept).

    Args of forward:
        hidden: (B*F, C, H, W).
        time_embedding: (B, E).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        time_embed_dim: int,
        *,
        groups: int,
        eps: float,
        scale_shift: bool,
        norm_per_frame: bool,
    ) -> None:
        super().__init__()
        self.scale_shift = scale_shift
        time_channels = 2 * out_channels if scale_shift else out_channels
        self.norm1 = FrameGroupNorm(groups, in_channels, eps, norm_per_frame)
        self.conv1 = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1)
        self.time_emb_proj = nn.Linear(time_embed_dim, time_channels)
        if scale_shift:  # without effect on the output, but checkpoints of this kind carry it
            self.double_len_linear = nn.Linear(time_channels, 2 * time_channels)
        self.norm2 = FrameGroupNorm(groups, out_channels, eps, norm_per_frame)
        self.conv2 = nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1)
        self.conv_shortcut = (
            nn.Conv2d(in_channels, out_channels, kernel_size=1) if in_channels != out_channels else None
        )

    def forward(self, hidden: Tensor, time_embedding: Tensor, num_frames: int) -> Tensor:
        time = self.time_emb_proj(functional.silu(time_embedding))
        time = time.repeat_interleave(num_frames, dim=0)[:, :, None, None]  # (B*F, C, 1, 1)
        change = self.conv1(functional.silu(self.norm1(hidden, num_frames)))
        if self.scale_shift:
            scale, shift = time.chunk(2, dim=1)
            change = self.norm2(change, num_frames) * (1 + scale) + shift
        else:
            change = self.norm2(change + time, num_frames)
        change = self.conv2(functional.silu(change))
        shortcut = hidden if self.conv_shortcut is None else self.conv_shortcut(hidden)
        return shortcut + change


class Downsample3D(nn.Module):
    """Half the height and width (the number of frames stays)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, kernel_size=3, stride=2, padding=1)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.conv(hidden)


class Upsample3D(nn.Module):
    """Nearest upsampling to the size of the next skip connection, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, kernel_size=3, padding=1)

    def forward(self, hidden: Tensor, size: tuple[int, int]) -> Tensor:
        return self.conv(functional.interpolate(hidden, size=size, mode="nearest"))
