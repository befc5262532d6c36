"""Step 7: drop low visual quality.

With weights, HyperIQA through pyiqa, times 100, and the paper's limit of 40. Without, a sharpness: it sees blur and
upsampling, not noise or blocks, and dark or smooth faces score low. 126 real clips of faces 100 px tall and more gave
2.1 to 22.8 (median 4.9); so did faces that were reduced to 48 px and enlarged again, 1.6 to 4.2. It tells
mush from pictures, no more, and its limit is set accordingly.
"""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from latentsync_core.data_preparation.dropped import Dropped
from latentsync_core.errors import BadCheckpoint, BadOption
from latentsync_core.face.sharpness import measure_sharpness

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
    """pyiqa's HyperIQA (Su et al., CVPR 2020), 0..100."""

    name = "HyperIQA"
    least = 40.0

    def __init__(self, weights: Path) -> None:
        if not weights.is_file():
            raise BadCheckpoint(f"{weights}: no such weights file of HyperIQA")
        if find_spec("pyiqa") is None:
            raise BadOption("HyperIQA needs the package pyiqa: `pip install pyiqa`, or leave the option out")
        metric = import_module("pyiqa").create_metric("hyperiqa", device="cpu", pretrained_model_path=str(weights))
        self._metric: Any = metric

    def measure_quality(self, crops: NDArray[np.uint8]) -> float:
        """Give the mean over three frames, 0..100."""
        import torch

        frames = torch.from_numpy(np.stack(_evenly(crops, HYPERIQA_LOOKED_AT)).astype(np.float32) / 255)
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # it looks at random patches
            return 100 * float(self._metric(frames.permute(0, 3, 1, 2)).mean())


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
