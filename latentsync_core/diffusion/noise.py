"""The initial noise: one frame of it for the whole video, so that still things stay still (reference code 1.5)."""

import torch
from torch import Tensor


def shared_noise(channels: int, height: int, width: int, seed: int) -> Tensor:
    """Draw the noise that every frame of a video starts from.

    Drawn on the CPU, so one seed gives the same noise whatever the device.

    Returns:
        (1, channels, 1, height, width) float32 of unit variance; `expand` it over the frames.
    """
    generator = torch.Generator("cpu").manual_seed(seed)
    return torch.randn((1, channels, 1, height, width), generator=generator)
