"""Visual quality."""

import pickle
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from latentsync_core.data_preparation.dropped import Dropped
from latentsync_core.data_preparation.visual_quality import Sharpness, judge_quality, make_quality_meter
from latentsync_core.errors import BadCheckpoint, BadOption
from tests.core.data_preparation.talking_portraits import portrait


def test_blur_costs_sharpness_until_a_clip_is_dropped():
    sharp = np.stack([portrait()] * 3)
    blurred = np.stack([cv2.GaussianBlur(portrait(), (0, 0), 8)] * 3)
    meter = Sharpness()
    assert meter.measure_quality(sharp) > 3 * meter.measure_quality(blurred)
    judge_quality(meter.measure_quality(sharp), meter.least)
    with pytest.raises(Dropped, match="low visual quality"):
        judge_quality(meter.measure_quality(blurred), meter.least)


def test_hyperiqa_without_its_weights_is_refused(tmp_path):
    with pytest.raises(BadCheckpoint, match="no such weights file of HyperIQA"):
        make_quality_meter(tmp_path / "missing.pth")


STAND_IN_FOR_PYIQA = """
import timm
import torch

class Metric(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.net = timm.create_model("resnet50", pretrained=True)
    def forward(self, frames):
        return self.net(frames.mean(dim=(1, 2, 3))[:, None])

def create_metric(name, device, pretrained):
    assert (name, device, pretrained) == ("hyperiqa", "cpu", False)
    return Metric()
"""
STAND_IN_FOR_TIMM = """
import torch

def create_model(name, pretrained):
    assert not pretrained, "a download"
    return torch.nn.Linear(1, 1, bias=False)
"""


@pytest.fixture
def pyiqa(tmp_path, monkeypatch):
    """Stand-ins for packages that are not here: the network is one factor times the brightness."""
    (tmp_path / "pyiqa.py").write_text(STAND_IN_FOR_PYIQA)
    (tmp_path / "timm.py").write_text(STAND_IN_FOR_TIMM)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in ("pyiqa", "timm"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("pyiqa")
def test_hyperiqa_gets_its_weights_from_the_file_and_is_on_a_scale_of_a_hundred(tmp_path):
    torch.save({"params": {"weight": torch.tensor([[0.5]])}}, tmp_path / "weights.pth")
    meter = make_quality_meter(tmp_path / "weights.pth")
    assert (meter.name, meter.least) == ("HyperIQA", 40.0)
    assert meter.measure_quality(np.full((5, 8, 8, 3), 102, np.uint8)) == pytest.approx(20, abs=0.01)


@pytest.mark.usefixtures("pyiqa")
def test_hyperiqa_of_other_weights_or_of_a_pickle_is_refused(tmp_path):
    torch.save({"params": {"other": torch.zeros(1)}}, tmp_path / "weights.pth")
    with pytest.raises(BadCheckpoint, match="does not fit"):
        make_quality_meter(tmp_path / "weights.pth")
    (tmp_path / "weights.pth").write_bytes(pickle.dumps(Path("x"), protocol=2))
    with pytest.raises(BadCheckpoint, match="not a readable weights file"):
        make_quality_meter(tmp_path / "weights.pth")


def test_hyperiqa_without_pyiqa_is_refused(tmp_path):
    (tmp_path / "weights.pth").touch()
    with pytest.raises(BadOption, match="pip install --no-deps pyiqa"):
        make_quality_meter(tmp_path / "weights.pth")
