"""Sinusoid tables: of the diffusion timestep and of the frame's position."""

import math

import torch
from torch import Tensor, nn

LONGEST_PERIOD = 10000.0


def timestep_sinusoid(timesteps: Tensor, width: int) -> Tensor:
    """Embed diffusion timesteps (cosines first, as Stable Diffusion does).

    Args:
        timesteps: (B,), 0..999.
        width: even.

    Returns:
        (B, width) float32 whatever the input's type: the published weights were trained on float32 tables.
    """
    half = width // 2
    exponents = torch.arange(half, dtype=torch.float32, device=timesteps.device) * (-math.log(LONGEST_PERIOD) / half)
    angles = timesteps.float()[:, None] * torch.exp(exponents)[None, :]
    return torch.cat([torch.cos(angles), torch.sin(angles)], dim=-1)


def position_sinusoid(rows: int, width: int) -> Tensor:
    """Embed positions 0..rows-1, sines at even and cosines at odd columns: (1, rows, width) float32."""
    position = torch.arange(rows, dtype=torch.float32)[:, None]
    frequency = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(LONGEST_PERIOD) / width))
    table = torch.zeros(1, rows, width)
    table[0, :, 0::2] = torch.sin(position * frequency)
    table[0, :, 1::2] = torch.cos(position * frequency)
    return table


class TimestepEmbedding(nn.Module):
    """Two linear layers over the timestep's sinusoid: (B, in) -> (B, out)."""

    def __init__(self, in_channels: int, time_embed_dim: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(in_channels, time_embed_dim)
        self.act = nn.SiLU()
        self.linear_2 = nn.Linear(time_embed_dim, time_embed_dim)

    def forward(self, sinusoid: Tensor) -> Tensor:
        return self.linear_2(self.act(self.linear_1(sinusoid)))


class PositionalEncoding(nn.Module):
    """Adds the position table to (N, F, C); the table `pe` is part of the state dict, as in the official files."""

    pe: Tensor

    def __init__(self, width: int, max_len: int) -> None:
        super().__init__()
        self.register_buffer("pe", position_sinusoid(max_len, width))

    def forward(self, tokens: Tensor) -> Tensor:
        """Raises ValueError for more frames than the table has rows."""
        num_frames = tokens.shape[1]
        if num_frames > self.pe.shape[1]:
            raise ValueError(f"{num_frames} frames, but the position table has {self.pe.shape[1]} rows")
        return tokens + self.pe[:, :num_frames].to(tokens.dtype)
