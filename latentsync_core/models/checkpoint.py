"""Weights from files, loaded strictly: every key must be there, none may be left, all shapes must fit."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from latentsync_core.errors import BadCheckpoint

#: Entries under which published files keep the weights, next to step counts and sizes.
_WRAPPERS = ("state_dict", "model_state_dict")
#: What torch's DistributedDataParallel puts before every key.
_PARALLEL_PREFIX = "module."
_KEYS_SHOWN = 8


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read weights from a `.safetensors` or a torch file, on the CPU.

    Torch files are read with `weights_only=True`, so a file cannot run code.

    Raises:
        BadCheckpoint: if there is no such file, it is broken, or it holds anything but weights.
    """
    if not path.is_file():
        raise BadCheckpoint(f"{path}: no such weights file")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, KeyError, ValueError) as error:
        raise BadCheckpoint(f"{path}: not a readable weights file ({error})") from error
    return unwrap_state_dict(content, str(path))


def unwrap_state_dict(content: Any, source: str) -> dict[str, Tensor]:
    """Find the weights in what a torch file held, and undo the prefix of parallel training.

    Raises:
        BadCheckpoint: if that is not a mapping of names to tensors.
    """
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise BadCheckpoint(f"{source}: holds no weights (a mapping of names to tensors was expected)")
    if content and all(key.startswith(_PARALLEL_PREFIX) for key in content):
        return {key.removeprefix(_PARALLEL_PREFIX): value for key, value in content.items()}
    return dict(content)


def load_strictly(network: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    """Copy weights into a network, in the network's dtype and on its device.

    Raises:
        BadCheckpoint: naming the missing, unexpected and mis-shaped keys.
    """
    expected = network.state_dict()
    missing = [key for key in expected if key not in weights]
    unexpected = [key for key in weights if key not in expected]
    misshaped = [
        f"{key} {tuple(weights[key].shape)} instead of {tuple(tensor.shape)}"
        for key, tensor in expected.items()
        if key in weights and weights[key].shape != tensor.shape
    ]
    if missing or unexpected or misshaped:
        kinds = {"missing": missing, "unexpected": unexpected, "of another shape": misshaped}
        found = "; ".join(f"{len(keys)} {kind}: {_shorten(keys)}" for kind, keys in kinds.items() if keys)
        raise BadCheckpoint(f"{source} does not fit {type(network).__name__}: {found}")
    network.load_state_dict(weights)


def _shorten(keys: list[str]) -> str:
    more = len(keys) - _KEYS_SHOWN
    return ", ".join(keys[:_KEYS_SHOWN]) + (f" and {more} more" if more > 0 else "")
