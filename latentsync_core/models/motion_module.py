"""Temporal layers (AnimateDiff type, LatentSync 1.5 and later): every pixel attends over its frames."""

from einops import rearrange
from torch import Tensor, nn

from latentsync_core.models.attention import ATTENTION_NORM_EPS, Attention, FeedForward
from latentsync_core.models.embeddings import PositionalEncoding
from latentsync_core.models.unet_config import MotionModuleConfig

#: Fixed, whatever the configuration's norm_num_groups.
NORM_GROUPS = 32


class TemporalSelfAttention(Attention):
    """Self-attention of (N, F, C) over F, with the frame's position added first."""

    def __init__(self, dim: int, num_heads: int, dim_head: int, max_len: int | None) -> None:
        super().__init__(dim, dim, num_heads, dim_head)
        self.pos_encoder = None if max_len is None else PositionalEncoding(dim, max_len)

    def forward(self, tokens: Tensor, context: Tensor | None = None) -> Tensor:
        if self.pos_encoder is not None:
            tokens = self.pos_encoder(tokens)
        return super().forward(tokens)


class TemporalTransformerBlock(nn.Module):
    """Pre-norm attentions over time one after another, then a feed-forward: (N, F, C) -> (N, F, C)."""

    def __init__(self, dim: int, num_heads: int, dim_head: int, config: MotionModuleConfig) -> None:
        super().__init__()
        max_len = config.temporal_position_encoding_max_len if config.temporal_position_encoding else None
        attentions = [TemporalSelfAttention(dim, num_heads, dim_head, max_len) for _ in config.attention_block_types]
        self.attention_blocks = nn.ModuleList(attentions)
        self.norms = nn.ModuleList([nn.LayerNorm(dim) for _ in attentions])
        self.ff = FeedForward(dim)
        self.ff_norm = nn.LayerNorm(dim)

    def forward(self, tokens: Tensor) -> Tensor:
        for attention, norm in zip(self.attention_blocks, self.norms, strict=True):
            tokens = tokens + attention(norm(tokens))
        return tokens + self.ff(self.ff_norm(tokens))


class TemporalTransformer3DModel(nn.Module):
    """Norm per frame, linear in, temporal blocks, linear out, residual (official name kept)."""

    def __init__(self, channels: int, config: MotionModuleConfig) -> None:
        super().__init__()
        heads = config.num_attention_heads
        dim_head = channels // heads // config.temporal_attention_dim_div
        inner_dim = heads * dim_head
        self.norm = nn.GroupNorm(NORM_GROUPS, channels, eps=ATTENTION_NORM_EPS)
        self.proj_in = nn.Linear(channels, inner_dim)
        self.transformer_blocks = nn.ModuleList(
            [TemporalTransformerBlock(inner_dim, heads, dim_head, config) for _ in range(config.num_transformer_block)]
        )
        self.proj_out = nn.Linear(inner_dim, channels)

    def forward(self, hidden: Tensor, num_frames: int) -> Tensor:
        height, width = hidden.shape[-2:]
        tokens = rearrange(self.norm(hidden), "(b f) c h w -> (b h w) f c", f=num_frames)
        tokens = self.proj_in(tokens)
        for block in self.transformer_blocks:
            tokens = block(tokens)
        tokens = self.proj_out(tokens)
        change = rearrange(tokens, "(b h w) f c -> (b f) c h w", h=height, w=width)
        return hidden + change.contiguous()  # contiguous: see Transformer3DModel


class VanillaTemporalModule(nn.Module):
    """The temporal transformer under its official name: (B*F, C, H, W) -> the same."""

    def __init__(self, channels: int, config: MotionModuleConfig) -> None:
        super().__init__()
        self.temporal_transformer = TemporalTransformer3DModel(channels, config)
        if config.zero_initialize:
            for parameter in self.temporal_transformer.proj_out.parameters():
                nn.init.zeros_(parameter)

    def forward(self, hidden: Tensor, num_frames: int) -> Tensor:
        return self.temporal_transformer(hidden, num_frames)
