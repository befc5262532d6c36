"""The audio-visual offset by a StableSyncNet: which shift of the sound brings its embeddings nearest to the lips'.

As in the SyncNet of Chung and Zisserman, stretches of the clip are compared with the sound at every offset within 15
frames. Theirs gives a distance of embeddings, ours a cosine, so the confidence - best mean cosine less the median over
the offsets - lies in 0..1 and the paper's limit of 3 does not apply to it.
"""

import json
from math import prod
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import yaml
from einops import rearrange
from torch import Tensor
from torch.nn import functional

from latentsync_core.audio.mel import cut_mel_window, syncnet_mel
from latentsync_core.data_preparation.sync_offset import AlignedClip, SyncOffset
from latentsync_core.errors import BadCheckpoint
from latentsync_core.models.checkpoint import load_strictly, read_state_dict
from latentsync_core.models.syncnet import StableSyncNet
from latentsync_core.models.syncnet_config import SyncNetConfig

SEARCHED_OFFSETS = 15  # frames to either side
STRETCH_STEP = 8  # frames between the stretches that are compared
BATCH = 8
WEIGHTS_NAMES = ("model.safetensors", "syncnet.safetensors", "stable_syncnet.pt", "latentsync_syncnet.pt")
CONFIG_NAMES = ("config.json", "config.yaml")
#: The published stable_syncnet.pt, which comes without its configuration.
PUBLISHED_CONFIG: dict[str, Any] = {
    "audio_encoder": {
        "in_channels": 1,
        "block_out_channels": [32, 64, 128, 256, 512, 1024, 2048],
        "downsample_factors": [[2, 1], 2, 2, 1, 2, 2, [2, 3]],
        "attn_blocks": [0, 0, 0, 1, 1, 0, 0],
    },
    "visual_encoder": {
        "in_channels": 48,
        "block_out_channels": [64, 128, 256, 256, 512, 1024, 2048, 2048],
        "downsample_factors": [[1, 2], 2, 2, 2, 2, 2, 2, 2],
        "attn_blocks": [0, 0, 0, 0, 1, 1, 0, 0],
    },
}


class SyncNetOffset:
    """Measures offsets with one network; its frames per stretch and picture size follow from its configuration."""

    name = "StableSyncNet cosine above the median"

    def __init__(self, network: StableSyncNet, resolution: int | None = None) -> None:
        """Take a network.

        Args:
            network: StableSyncNet on pixels.
            resolution: side of the whole faces it was trained on; None = what its strides bring down to one pixel.

        Raises:
            BadCheckpoint: if it works on latents.
        """
        encoder = network.config.visual_encoder
        if encoder.in_channels % 3:
            raise BadCheckpoint(
                f"this SyncNet takes {encoder.in_channels} channels, which is no number of RGB frames: prepare needs "
                "one that was trained on pixels, not on latents"
            )
        self._network = network.eval()
        self._num_frames = encoder.in_channels // 3
        self._width = resolution or prod(stride[1] for stride in encoder.downsample_factors)
        self._height = resolution // 2 if resolution else prod(stride[0] for stride in encoder.downsample_factors)

    @classmethod
    def from_checkpoint(cls, path: Path) -> "SyncNetOffset":
        """Load a weights file, or a folder of weights and config.json or config.yaml.

        Raises:
            BadCheckpoint: if it is missing or does not fit its configuration.
        """
        weights = path
        if path.is_dir():
            weights = next((path / name for name in WEIGHTS_NAMES if (path / name).is_file()), path / WEIGHTS_NAMES[0])
        state = read_state_dict(weights)
        values = _read_config(weights.parent)
        try:
            network = StableSyncNet(SyncNetConfig.from_dict(values.get("model", values)))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise BadCheckpoint(f"{weights.parent}: no configuration of a StableSyncNet ({error!r})") from error
        load_strictly(network, state, str(weights))
        return cls(network, values.get("resolution"))

    @torch.no_grad()
    def measure_offset(self, clip: AlignedClip) -> SyncOffset | None:
        """Give the offset of the highest mean cosine; None if the clip is shorter than one stretch."""
        count = len(clip.crops)
        firsts = list(range(0, count - self._num_frames + 1, STRETCH_STEP))
        if not firsts:
            return None
        mel = syncnet_mel(torch.from_numpy(clip.pcm.astype(np.float32) / 32768))
        heard = {first: cut_mel_window(mel, first, self._num_frames) for first in range(count)}
        sounds = {first: window for first, window in heard.items() if window is not None}
        if not sounds:
            return None
        vision = self._embed_pictures(self._lower_halves(clip), firsts)
        audio = dict(zip(sounds, self._embed_sounds(list(sounds.values())), strict=True))
        means: dict[int, float] = {}
        for offset in range(-SEARCHED_OFFSETS, SEARCHED_OFFSETS + 1):
            pairs = [(vision[i], audio[first + offset]) for i, first in enumerate(firsts) if first + offset in audio]
            if pairs:
                means[offset] = float(torch.stack([(a * b).sum() for a, b in pairs]).mean())
        best = max(means, key=lambda offset: (means[offset], -abs(offset)))
        return SyncOffset(best, means[best] - float(np.median(list(means.values()))))

    @torch.no_grad()
    def embed_tracks(self, clip: AlignedClip) -> tuple[Tensor, Tensor] | None:
        """Give the unit embeddings of every stretch that is whole in picture and sound, one per first frame.

        Returns:
            pictures (T, D) and sounds (T, D); None if the clip is shorter than one stretch.
        """
        mel = syncnet_mel(torch.from_numpy(clip.pcm.astype(np.float32) / 32768))
        firsts = range(len(clip.crops) - self._num_frames + 1)
        windows = [cut_mel_window(mel, first, self._num_frames) for first in firsts]
        whole = [window for window in windows if window is not None]  # the last ones may be missing
        if not whole:
            return None
        pictures = self._embed_pictures(self._lower_halves(clip), list(range(len(whole))))
        return pictures, self._embed_sounds(whole)

    def _lower_halves(self, clip: AlignedClip) -> Tensor:
        """Reduce the crops to (F, 3, h, w) in [-1, 1], the lower half of the face."""
        halves = [
            cv2.resize(crop[len(crop) // 2 :], (self._width, self._height), interpolation=cv2.INTER_AREA)
            for crop in clip.crops
        ]
        return rearrange(torch.from_numpy(np.stack(halves)), "f h w c -> f c h w").float() / 127.5 - 1

    def _embed_pictures(self, frames: Tensor, firsts: list[int]) -> Tensor:
        parts = []
        for start in range(0, len(firsts), BATCH):
            stretches = [frames[first : first + self._num_frames] for first in firsts[start : start + BATCH]]
            batch = rearrange(torch.stack(stretches), "b f c h w -> b (f c) h w")
            parts.append(functional.normalize(self._network.visual_encoder(batch), dim=1))
        return torch.cat(parts)

    def _embed_sounds(self, windows: list[Tensor]) -> Tensor:
        parts = []
        for start in range(0, len(windows), BATCH):
            batch = torch.stack(windows[start : start + BATCH])[:, None]
            parts.append(functional.normalize(self._network.audio_encoder(batch), dim=1))
        return torch.cat(parts)


def _read_config(folder: Path) -> dict[str, Any]:
    """Read the configuration beside the weights; without one they must be the published network's."""
    path = next((folder / name for name in CONFIG_NAMES if (folder / name).is_file()), None)
    if path is None:
        return PUBLISHED_CONFIG
    try:
        text = path.read_text(encoding="utf-8")
        values = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (json.JSONDecodeError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadCheckpoint(f"{path} cannot be read ({error})") from error
    if not isinstance(values, dict):
        raise BadCheckpoint(f"{path} holds no configuration")
    return values
