"""Step 7: drop low visual quality.

With weights, HyperIQA through pyiqa, times 100, and the paper's limit of 40. Without, a sharpness: it sees blur and
upsampling, not noise or blocks, and dark or smooth faces score low. 126 real clips of faces 100 px tall and more gave
2.1 to 22.8 (median 4.9); so did faces that were reduced to 48 px and enlarged again, 1.6 to 4.2. It tells
mush from pictures, no more, and its limit is set accordingly.
"""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from latentsync_core.data_preparation.dropped import Dropped
from latentsync_core.errors import BadCheckpoint, BadOption
from latentsync_core.face.sharpness import measure_sharpness

if TYPE_CHECKING:
    from torch import Tensor

LOOKED_AT = 9  # frames of a clip, evenly spaced
HYPERIQA_LOOKED_AT = 3


class QualityMeter(Protocol):
    """Measures the visual quality of one clip; below `least` it is dropped."""

    name: str
    least: float

    def measure_quality(self, crops: NDArray[np.uint8]) -> float:
        """Give the quality of crops (F, R, R, 3) uint8; more is better."""
        ...


class Sharpness:
    """Median standard deviation of the Laplacian in the middle of the aligned face, grey levels."""

    name = "sharpness (deviation of the Laplacian)"
    least = 1.5

    def measure_quality(self, crops: NDArray[np.uint8]) -> float:
        """Give the median over a few frames."""
        return float(np.median([measure_sharpness(crop) for crop in _evenly(crops, LOOKED_AT)]))


class HyperIQA:
    """pyiqa's HyperIQA (Su et al., CVPR 2020), times 100: some 75 ResNet-50 passes a clip, seconds on a CPU.

    pyiqa would unpickle a weights file, which can run code, and fetch ImageNet weights only to overwrite them. So
    the network is made without weights, and gets them from us.
    """

    name = "HyperIQA"
    least = 40.0

    def __init__(self, weights: Path) -> None:
        if not weights.is_file():
            raise BadCheckpoint(f"{weights}: no such weights file of HyperIQA")
        if find_spec("pyiqa") is None:
            raise BadOption("HyperIQA needs packages: pip install --no-deps pyiqa==0.1.16 timm addict")
        from latentsync_core.models.checkpoint import load_strictly  # torch, only where it is used

        with _timm_without_downloads():
            self._metric: Any = import_module("pyiqa").create_metric("hyperiqa", device="cpu", pretrained=False)
        load_strictly(self._metric.net, _read_weights(weights), str(weights))

    def measure_quality(self, crops: NDArray[np.uint8]) -> float:
        """Give the mean over three frames, about 0..100."""
        import torch

        frames = torch.from_numpy(np.stack(_evenly(crops, HYPERIQA_LOOKED_AT)).astype(np.float32) / 255)
        with torch.no_grad():
            return 100 * float(self._metric(frames.permute(0, 3, 1, 2)).mean())


def _read_weights(path: Path) -> "dict[str, Tensor]":
    """Read pyiqa's file, which keeps the weights under `params`."""
    import torch

    from latentsync_core.models.checkpoint import unwrap_state_dict

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, ValueError) as error:
        raise BadCheckpoint(f"{path}: not a readable weights file ({error})") from error
    return unwrap_state_dict(content.get("params", content) if isinstance(content, dict) else content, str(path))


@contextmanager
def _timm_without_downloads() -> Iterator[None]:
    """Let timm make networks without weights, whatever its caller asks for."""
    timm: Any = import_module("timm")
    create = timm.create_model
    timm.create_model = lambda *names, **options: create(*names, **{**options, "pretrained": False})
    try:
        yield
    finally:
        timm.create_model = create


def make_quality_meter(hyperiqa: Path | None) -> QualityMeter:
    """Give HyperIQA where its weights are given, else the sharpness."""
    return HyperIQA(hyperiqa) if hyperiqa else Sharpness()


def judge_quality(quality: float, least: float) -> None:
    """Let a clip pass that looks good enough.

    Raises:
        Dropped: if it does not.
    """
    if quality < least:
        raise Dropped("low visual quality", f"{quality:.3g}, at least {least:g} is asked for")


def _evenly(crops: NDArray[np.uint8], count: int) -> list[NDArray[np.uint8]]:
    return [crops[index] for index in np.unique(np.linspace(0, len(crops) - 1, count).round().astype(int))]
