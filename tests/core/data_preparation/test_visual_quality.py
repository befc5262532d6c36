"""Visual quality."""

import sys

import cv2
import numpy as np
import pytest

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


def test_hyperiqa_is_asked_through_pyiqa_on_its_scale_of_a_hundred(tmp_path, monkeypatch):
    """Wiring only, against a stand-in: the package and its weights are not here."""
    (tmp_path / "pyiqa.py").write_text(
        "def create_metric(name, device, pretrained_model_path):\n"
        "    assert (name, device) == ('hyperiqa', 'cpu')\n"
        "    return lambda frames: frames.mean(dim=(1, 2, 3))\n"
    )
    (tmp_path / "weights.pth").touch()
    monkeypatch.syspath_prepend(tmp_path)
    meter = make_quality_meter(tmp_path / "weights.pth")
    assert (meter.name, meter.least) == ("HyperIQA", 40.0)
    assert meter.measure_quality(np.full((5, 8, 8, 3), 102, np.uint8)) == pytest.approx(40, abs=0.01)
    del sys.modules["pyiqa"]


def test_hyperiqa_without_pyiqa_is_refused(tmp_path):
    (tmp_path / "weights.pth").touch()
    with pytest.raises(BadOption, match="needs the package pyiqa"):
        make_quality_meter(tmp_path / "weights.pth")
