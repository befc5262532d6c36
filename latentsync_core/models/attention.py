"""Attention inside one frame: self-attention over its pixels, cross-attention to its audio tokens (paper, 3.1)."""

from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

#: eps of the GroupNorms before attention; the resnets use another one (UNetConfig.norm_eps).
ATTENTION_NORM_EPS = 1e-6


class Attention(nn.Module):
    """Multi-head attention of (N, T, C) queries to (N, S, D) tokens."""

    def __init__(self, query_dim: int, context_dim: int, num_heads: int, dim_head: int, *, bias: bool = False) -> None:
        super().__init__()
        inner_dim = num_heads * dim_head
        self.num_heads = num_heads
        self.to_q = nn.Linear(query_dim, inner_dim, bias=bias)
        self.to_k = nn.Linear(context_dim, inner_dim, bias=bias)
        self.to_v = nn.Linear(context_dim, inner_dim, bias=bias)
        self.to_out = nn.ModuleList([nn.Linear(inner_dim, query_dim)])

    def forward(self, tokens: Tensor, context: Tensor | None = None) -> Tensor:
        """Attend to `context`, or to the tokens themselves without one."""
        context = tokens if context is None else context
        query, key, value = (
            rearrange(x, "n t (heads d) -> n heads t d", heads=self.num_heads)
            for x in (self.to_q(tokens), self.to_k(context), self.to_v(context))
        )
        heard = functional.scaled_dot_product_attention(query, key, value)
        return self.to_out[0](rearrange(heard, "n heads t d -> n t (heads d)"))


class GEGLU(nn.Module):
    """Gated linear unit with the exact GELU."""

    def __init__(self, dim_in: int, dim_out: int) -> None:
        super().__init__()
        self.proj = nn.Linear(dim_in, dim_out * 2)

    def forward(self, tokens: Tensor) -> Tensor:
        value, gate = self.proj(tokens).chunk(2, dim=-1)
        return value * functional.gelu(gate)


class FeedForward(nn.Module):
    """GEGLU of four times the width, then back; index 1 of the official list is a dropout without weights."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.net = nn.Sequential(GEGLU(dim, dim * 4), nn.Identity(), nn.Linear(dim * 4, dim))

    def forward(self, tokens: Tensor) -> Tensor:
        return self.net(tokens)


class BasicTransformerBlock(nn.Module):
    """Self-attention, cross-attention to the audio (if the network hears it), feed-forward; all pre-norm."""

    def __init__(self, dim: int, num_heads: int, dim_head: int, audio_dim: int | None) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn1 = Attention(dim, dim, num_heads, dim_head)
        self.hears_audio = audio_dim is not None
        if audio_dim is not None:
            self.norm2 = nn.LayerNorm(dim)
            self.attn2 = Attention(dim, audio_dim, num_heads, dim_head)
        self.ff = FeedForward(dim)
        self.norm3 = nn.LayerNorm(dim)

    def forward(self, tokens: Tensor, audio: Tensor | None) -> Tensor:
        tokens = tokens + self.attn1(self.norm1(tokens))
        if self.hears_audio and audio is not None:
            tokens = tokens + self.attn2(self.norm2(tokens), audio)
        return tokens + self.ff(self.norm3(tokens))


class Transformer3DModel(nn.Module):
    """A spatial transformer of every frame by itself (official name kept).

    Args of forward:
        hidden: (B*F, C, H, W).
        audio: (B*F, S, D), or None to leave the cross-attention out (which is not the same as zeros).
    """

    def __init__(self, channels: int, num_heads: int, norm_num_groups: int, audio_dim: int | None) -> None:
        super().__init__()
        dim_head = channels // num_heads
        inner_dim = num_heads * dim_head
        self.norm = nn.GroupNorm(norm_num_groups, channels, eps=ATTENTION_NORM_EPS)
        self.proj_in = nn.Conv2d(channels, inner_dim, kernel_size=1)
        self.transformer_blocks = nn.ModuleList([BasicTransformerBlock(inner_dim, num_heads, dim_head, audio_dim)])
        self.proj_out = nn.Conv2d(inner_dim, channels, kernel_size=1)

    def forward(self, hidden: Tensor, audio: Tensor | None) -> Tensor:
        height = hidden.shape[-2]
        tokens = rearrange(self.proj_in(self.norm(hidden)), "n c h w -> n (h w) c")
        for block in self.transformer_blocks:
            tokens = block(tokens, audio)
        # contiguous: a channels-last tensor here would spread to the GroupNorms, which cannot go backward on CPU
        pixels = rearrange(tokens, "n (h w) c -> n c h w", h=height).contiguous()
        return hidden + self.proj_out(pixels)
