"""SyncNet v2, the judge of most published lip-sync figures (Chung and Zisserman, "Out of time", ACCV-W 2016).

Layers, sizes and parameter names are those of joonson/syncnet_python, so that its `syncnet_v2.model` loads. Two towers:
five frames of 224 px, and the 20 MFCC columns heard during them, each to a vector of 1024.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from latentsync_core.models.checkpoint import load_strictly, read_state_dict

NUM_FRAMES = 5
FACE_SIDE = 224  # pixels
MFCC_COLUMNS = 20
EMBEDDING = 1024

#: (channels in, out, kernel, stride, padding, pooling (kernel, stride, padding) or None) of every convolution.
_SOUND = (
    (1, 64, (3, 3), 1, 1, ((1, 1), 1, 0)),
    (64, 192, (3, 3), 1, 1, ((3, 3), (1, 2), 0)),
    (192, 384, (3, 3), 1, 1, None),
    (384, 256, (3, 3), 1, 1, None),
    (256, 256, (3, 3), 1, 1, ((3, 3), 2, 0)),
    (256, 512, (5, 4), 1, 0, None),
)
_LIPS = (
    (3, 96, (5, 7, 7), (1, 2, 2), 0, ((1, 3, 3), (1, 2, 2), 0)),
    (96, 256, (1, 5, 5), (1, 2, 2), (0, 1, 1), ((1, 3, 3), (1, 2, 2), (0, 1, 1))),
    (256, 256, (1, 3, 3), 1, (0, 1, 1), None),
    (256, 256, (1, 3, 3), 1, (0, 1, 1), None),
    (256, 256, (1, 3, 3), 1, (0, 1, 1), ((1, 3, 3), (1, 2, 2), 0)),
    (256, 512, (1, 6, 6), 1, 0, None),
)


class SyncNetV2(nn.Module):
    """Both towers; embeddings are compared by their Euclidean distance, which is small when they belong together."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = _tower(_SOUND, nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d)
        self.netfcaud = _head()
        self.netfclip = _head()
        self.netcnnlip = _tower(_LIPS, nn.Conv3d, nn.BatchNorm3d, nn.MaxPool3d)

    def embed_sound(self, mfcc: Tensor) -> Tensor:
        """Give the embeddings (B, 1024) of MFCC windows (B, 1, 13, 20)."""
        features: Tensor = self.netfcaud(self.netcnnaud(mfcc).flatten(1))
        return features

    def embed_lips(self, frames: Tensor) -> Tensor:
        """Give the embeddings (B, 1024) of face crops (B, 3, 5, 224, 224), BGR in [0, 255]."""
        features: Tensor = self.netfclip(self.netcnnlip(frames).flatten(1))
        return features


def load_syncnet_v2(path: Path) -> SyncNetV2:
    """Read `syncnet_v2.model`, in evaluation mode and frozen.

    Raises:
        BadCheckpoint: if the file is missing or of another network.
    """
    network = SyncNetV2()
    weights = read_state_dict(path)
    for key in network.state_dict():  # counters that older torch versions did not save, and nothing reads
        if key.endswith("num_batches_tracked"):
            weights.setdefault(key, torch.zeros((), dtype=torch.long))
    load_strictly(network, weights, str(path))
    return network.eval().requires_grad_(False)


def _tower(
    layers: tuple[tuple[object, ...], ...], conv: type[nn.Module], norm: type[nn.Module], pool: type[nn.Module]
) -> nn.Sequential:
    modules: list[nn.Module] = []
    for channels_in, channels_out, kernel, stride, padding, pooling in layers:
        modules += [conv(channels_in, channels_out, kernel, stride, padding), norm(channels_out), nn.ReLU()]
        if pooling is not None:
            modules.append(pool(*pooling))  # type: ignore[misc]
    return nn.Sequential(*modules)


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, EMBEDDING))
