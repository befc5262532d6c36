"""StableSyncNet: do these lips say this sound? (LatentSync, arXiv:2412.09262, section 3.3, figure 4)

Two encoders of the U-Net's resnets and attentions give an embedding of the pictures and one of the mel; their
cosine is high when they belong together. Parameter names and arithmetic are those of the published checkpoints.
"""

from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from latentsync_core.models.attention import ATTENTION_NORM_EPS, Attention, FeedForward
from latentsync_core.models.syncnet_config import Stride, SyncEncoderConfig, SyncNetConfig
from latentsync_core.models.syncnet_speech import SpeechWindowEncoder

NORM_EPS = 1e-6
NUM_HEADS = 8
#: Zeros before a stride convolution (left, right, top, bottom), by stride (height, width).
_PADDING: dict[Stride, tuple[int, int, int, int]] = {(1, 2): (0, 1, 1, 1), (2, 1): (1, 1, 0, 1)}
_USUAL_PADDING = (0, 1, 0, 1)


class ResnetBlock2D(nn.Module):
    """Norm, SiLU, convolution, twice, around a shortcut; then a stride convolution (official name kept)."""

    def __init__(self, in_channels: int, out_channels: int, groups: int, stride: Stride, kernel: int = 3) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, in_channels, eps=NORM_EPS)
        self.conv1 = nn.Conv2d(in_channels, out_channels, kernel_size=kernel, padding=kernel // 2)
        self.norm2 = nn.GroupNorm(groups, out_channels, eps=NORM_EPS)
        self.conv2 = nn.Conv2d(out_channels, out_channels, kernel_size=kernel, padding=kernel // 2)
        self.conv_shortcut = (
            nn.Conv2d(in_channels, out_channels, kernel_size=1) if in_channels != out_channels else None
        )
        self.padding = _PADDING.get(stride, _USUAL_PADDING)
        self.downsample_conv = (
            nn.Conv2d(out_channels, out_channels, kernel_size=3, stride=stride) if stride != (1, 1) else None
        )

    def forward(self, hidden: Tensor) -> Tensor:
        change = self.conv1(functional.silu(self.norm1(hidden)))
        change = self.conv2(functional.silu(self.norm2(change)))
        hidden = change + (hidden if self.conv_shortcut is None else self.conv_shortcut(hidden))
        if self.downsample_conv is not None:
            hidden = self.downsample_conv(functional.pad(hidden, self.padding))
        return hidden


class AttentionBlock2D(nn.Module):
    """Self-attention over the positions of a feature map, (B, C, H, W) -> the same (official name kept)."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, channels, eps=ATTENTION_NORM_EPS)
        self.norm2 = nn.LayerNorm(channels)
        self.norm3 = nn.LayerNorm(channels)
        self.ff = FeedForward(channels)
        self.conv_in = nn.Conv2d(channels, channels, kernel_size=1)
        self.conv_out = nn.Conv2d(channels, channels, kernel_size=1)
        self.attn = Attention(channels, channels, NUM_HEADS, channels // NUM_HEADS, bias=True)

    def forward(self, hidden: Tensor) -> Tensor:
        height = hidden.shape[-2]
        tokens = rearrange(self.conv_in(self.norm1(hidden)), "b c h w -> b (h w) c")
        tokens = tokens + self.attn(self.norm2(tokens))
        tokens = tokens + self.ff(self.norm3(tokens))
        return hidden + self.conv_out(rearrange(tokens, "b (h w) c -> b c h w", h=height).contiguous())


class DownEncoder2D(nn.Module):
    """Pictures or mel down to one vector: (B, C, H, W) -> (B, D), not negative because it ends in a ReLU."""

    def __init__(self, config: SyncEncoderConfig) -> None:
        super().__init__()
        widths = config.block_out_channels
        self.motion_frames = config.motion_frames
        self.speech = SpeechWindowEncoder(widths[-1], config.norm_num_groups) if config.speech_embedding else None
        if config.patch_size == (1, 1):
            self.conv_in = nn.Conv2d(config.in_channels, widths[0], kernel_size=3, padding=1)
        else:
            self.conv_in = nn.Conv2d(config.in_channels, widths[0], config.patch_size, config.patch_size)
        kernels = config.kernel_sizes or (3,) * len(widths)
        blocks: list[nn.Module] = []
        for index, out_width in enumerate(widths):
            in_width = widths[max(index - 1, 0)]
            stride = config.downsample_factors[index]
            blocks.append(ResnetBlock2D(in_width, out_width, config.norm_num_groups, stride, kernels[index]))
            if config.attn_blocks[index]:
                blocks.append(AttentionBlock2D(out_width, config.norm_num_groups))
        self.down_blocks = nn.ModuleList(blocks)
        self.norm_out = nn.GroupNorm(config.norm_num_groups, widths[-1], eps=NORM_EPS)

    def forward(self, signal: Tensor) -> Tensor:
        if self.motion_frames:
            signal = without_still(signal, self.motion_frames)
        hidden = self.conv_in(signal)
        for block in self.down_blocks:
            hidden = block(hidden)
        vector = self.norm_out(hidden).flatten(1)
        return functional.relu(vector if self.speech is None else vector + self.speech(signal))


def without_still(frames: Tensor, count: int) -> Tensor:
    """Take the mean picture of a window of `count` frames, (B, count * C, H, W) frame-major, away from each of them."""
    apart = rearrange(frames, "b (f c) h w -> b f c h w", f=count)
    return rearrange(apart - apart.mean(1, keepdim=True), "b f c h w -> b (f c) h w")


class StableSyncNet(nn.Module):
    """The two encoders; embeddings of length 1, so that their product is the cosine, 0..1."""

    def __init__(self, config: SyncNetConfig) -> None:
        super().__init__()
        self.config = config
        self.audio_encoder = DownEncoder2D(config.audio_encoder)
        self.visual_encoder = DownEncoder2D(config.visual_encoder)

    def forward(self, frames: Tensor, mel: Tensor) -> tuple[Tensor, Tensor]:
        """Embed pictures and sound.

        Args:
            frames: (B, F * 3, H, W) in [-1, 1], frame-major: the lower half of the aligned faces, 128x256 for the
                published networks, or latents (B, F * C, h, w).
            mel: (B, 1, 80, M) in [-4, 4], see `latentsync_core.audio.mel`.

        Returns:
            vision and audio embeddings, (B, D) each, of length 1.
        """
        vision = functional.normalize(self.visual_encoder(frames), dim=1)
        audio = functional.normalize(self.audio_encoder(mel), dim=1)
        return vision, audio
