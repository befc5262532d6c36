"""Which SyncNet a run trains, and its folder: `config.json` beside `model.safetensors` (or official weights).

Strides that a model's part of the recipe leaves out are fitted to the pictures and to the mel, so that the embedding
dimension and the number of frames can be changed alone (arXiv:2412.09262, figures 9 and 10).
"""

import json
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from latentsync_core.audio.mel import mel_window_length
from latentsync_core.audio.spectrum import NUM_MELS
from latentsync_core.errors import BadCheckpoint, BadOption
from latentsync_core.models.checkpoint import load_strictly, read_state_dict
from latentsync_core.models.syncnet import StableSyncNet
from latentsync_core.models.syncnet_config import Stride, SyncNetConfig, as_stride
from latentsync_core.models.wav2lip_syncnet import Wav2LipSyncNet

WEIGHTS, CONFIG = "model.safetensors", "config.json"
_KINDS: dict[str, Callable[[dict[str, Any]], nn.Module]] = {
    "StableSyncNet": lambda config: StableSyncNet(SyncNetConfig.from_dict(config)),
    "Wav2LipSyncNet": lambda config: Wav2LipSyncNet(config["num_frames"], config.get("resolution", 256)),
}
#: (channels, height, width) of what the network sees of one frame: the lower half, pixels or latents.
PictureShape = tuple[int, int, int]


def fit_strides(height: int, width: int, num_blocks: int) -> list[Stride]:
    """Strides that bring (height, width) down to 1 x 1 in so many blocks.

    The longer side is halved alone first; blocks to spare stand in the middle, as in the published networks.

    Raises:
        BadOption: if that takes more blocks.
    """
    halvings = (height.bit_length() - 1, width.bit_length() - 1)  # an odd size is rounded down
    needed = max(halvings)
    if needed > num_blocks:
        raise BadOption(f"{height} x {width} takes {needed} blocks down to 1 x 1, block_out_channels has {num_blocks}")
    spare = num_blocks - needed
    first_spare = (num_blocks - spare + 1) // 2
    strides: list[Stride] = []
    for left in range(needed, 0, -1):
        strides.append((2 if left <= halvings[0] else 1, 2 if left <= halvings[1] else 1))
    strides[first_spare:first_spare] = [(1, 1)] * spare
    return strides


def stable_syncnet_config(
    model: dict[str, Any], num_frames: int, picture: PictureShape, embedding_dim: int = 0
) -> SyncNetConfig:
    """Complete the model's part of a recipe.

    Args:
        model: `audio_encoder` and `visual_encoder` as in an official file; `in_channels` and `downsample_factors`
            may be left out. `motion_only: true` is `motion_frames` of as many frames as the window has.
        num_frames: of a window.
        picture: of one frame.
        embedding_dim: width of both last blocks; 0 = as `model` has it.

    Raises:
        BadOption: for what is missing or contradicts the other arguments.
    """
    inputs = {
        "audio_encoder": (1, NUM_MELS, mel_window_length(num_frames)),
        "visual_encoder": (num_frames * picture[0], *picture[1:]),
    }
    completed = {}
    for name, (channels, height, width) in inputs.items():
        if "block_out_channels" not in model.get(name, {}):
            raise BadOption(f"model: {name} needs block_out_channels")
        encoder = {"in_channels": channels, **model[name]}
        if encoder.pop("motion_only", False):
            encoder["motion_frames"] = num_frames
        if encoder["in_channels"] != channels:
            raise BadOption(f"model: {name} has in_channels {encoder['in_channels']}, its input has {channels}")
        if embedding_dim:
            encoder["block_out_channels"] = [*encoder["block_out_channels"][:-1], embedding_dim]
        if "downsample_factors" not in encoder:
            count = len(encoder["block_out_channels"])
            pointwise = _count_last(encoder.get("kernel_sizes", []), 1)  # they see 1 x 1 already
            patch = as_stride(encoder.get("patch_size", 1))
            strides = fit_strides(height // patch[0], width // patch[1], count - pointwise)
            encoder["downsample_factors"] = strides + [(1, 1)] * pointwise
        completed[name] = encoder
    try:
        return SyncNetConfig.from_dict(completed)
    except (ValueError, TypeError) as error:
        raise BadOption(f"model: {error}") from error


def _count_last(values: list[int], wanted: int) -> int:
    """How many of the last values are the wanted one."""
    return len(list(takewhile(lambda value: value == wanted, reversed(values))))


def refuse_misfit(network: nn.Module, num_frames: int, picture: PictureShape) -> None:
    """Check with empty tensors that both encoders end in one vector of the same length.

    Raises:
        BadOption: naming the sizes.
    """
    frames = torch.empty(2, num_frames * picture[0], *picture[1:], device="meta")
    mel = torch.empty(2, 1, NUM_MELS, mel_window_length(num_frames), device="meta")
    inputs = f"pictures {picture[1]} x {picture[2]} and mel {NUM_MELS} x {mel.shape[-1]} ({num_frames} frames)"
    try:
        vision, audio = network.to("meta")(frames, mel)
    except RuntimeError as error:
        raise BadOption(f"the network does not take {inputs}: {error}") from error
    if vision.shape != audio.shape:
        raise BadOption(f"{inputs} give embeddings of {vision.shape[1]} and {audio.shape[1]}: change the strides")


def save_syncnet(network: nn.Module, folder: Path, facts: dict[str, Any]) -> None:
    """Write weights and configuration, each atomically.

    Args:
        facts: what a user of the network must know: num_frames, resolution and the like; JSON-ready.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = network.config.to_dict() if isinstance(network, StableSyncNet) else {}
    text = json.dumps({"_class_name": type(network).__name__, **facts, **config}, indent=2)
    (folder / f"{CONFIG}.tmp").write_text(text + "\n", encoding="utf-8")
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    save_file(weights, folder / f"{WEIGHTS}.tmp")
    for name in (CONFIG, WEIGHTS):
        (folder / f"{name}.tmp").replace(folder / name)


def load_syncnet(folder: Path) -> tuple[nn.Module, dict[str, Any]]:
    """Read what `save_syncnet` wrote: the network, in evaluation mode and frozen, and its configuration.

    Raises:
        BadCheckpoint: if a file is missing or the weights do not fit.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise BadCheckpoint(f"{path}: no such configuration")
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        network = _KINDS[config["_class_name"]](config)
    except (KeyError, TypeError, ValueError) as error:
        raise BadCheckpoint(f"{path}: not the configuration of a SyncNet ({error!r})") from error
    load_strictly(network, read_state_dict(folder / WEIGHTS), str(folder / WEIGHTS))
    return network.eval().requires_grad_(False), config
