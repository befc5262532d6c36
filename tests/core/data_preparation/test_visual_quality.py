"""Visual quality."""

import cv2
import numpy as np
import pytest

from latentsync_core.data_preparation.dropped import Dropped
from latentsync_core.data_preparation.visual_quality import Sharpness, judge_quality, make_quality_meter
from latentsync_core.errors import BadCheckpoint
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
