"""Reads the golden data of this folder."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tests.parity.seeded_weights import seeded_input, seeded_pcm, seeded_state_dict

FOLDER = Path(__file__).resolve().parent


@lru_cache(maxsize=32)
def facts(name: str) -> Any:
    """Read one JSON file, such as "unet/small"."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


@lru_cache(maxsize=32)
def arrays(name: str) -> dict[str, np.ndarray]:
    """Read one file of arrays, such as "ddim/ddim"."""
    with np.load(FOLDER / f"{name}.npz") as archive:
        return dict(archive)


def seeded(name: str, shape: tuple[int, ...] | list[int], dtype: torch.dtype = torch.float32) -> Tensor:
    """Make a recorded input."""
    return torch.from_numpy(seeded_input(name, tuple(shape))).to(dtype)


def seeded_sound(signal: str) -> Tensor:
    """Make one of the synthetic signals: (N,) float32 in [-1, 1] at 16 kHz."""
    recorded = facts("audio/audio")["syncnet_mel"][signal]
    return torch.from_numpy(seeded_pcm(recorded["synthetic"], recorded["seconds"])).float() / 32768


def shapes_of(network: nn.Module) -> dict[str, list[int]]:
    """List a network's keys and shapes in state-dict order, as a manifest does."""
    return {key: list(value.shape) for key, value in network.state_dict().items()}


def fill_with_seeded_weights(network: nn.Module) -> None:
    """Give a network the recording's weights; sinusoid tables stay as the network computed them."""
    state = network.state_dict()
    for key, value in seeded_state_dict(shapes_of(network)).items():
        state[key].copy_(torch.from_numpy(value))


def largest_error(found: Tensor, expected: np.ndarray) -> float:
    """Largest absolute difference, in float64."""
    assert tuple(found.shape) == expected.shape
    return float(np.abs(found.detach().double().numpy() - expected.astype(np.float64)).max())
