"""Where to look first: the moments that stand out from their track."""

import numpy as np
import pytest

from latentsync_core.evaluation.moments import worst_moments


@pytest.fixture
def series():
    """Four quiet seconds of every track."""
    noise = np.random.default_rng(0).uniform(-1, 1, (4, 100))
    tracks = dict(zip(("flicker", "seam", "sharpness", "sync_confidence"), (10 + noise).tolist(), strict=True))
    return {**tracks, "opening": [0.05] * 100, "loudness": [-5.0] * 100}


def test_nothing_stands_out_where_nothing_does(series):
    assert worst_moments(series) == []


def test_jumps_in_the_bad_direction_are_found_the_worst_first(series):
    series["flicker"][20] = 30
    series["sharpness"][70] = -90
    series["seam"][50] = -40  # softer than the source: no seam
    found = [(moment.seconds, moment.what) for moment in worst_moments(series)]
    assert found == [(70 / 25, "soft mouth"), (20 / 25, "flicker")]


def test_one_moment_a_second_and_two_of_a_kind_are_enough(series):
    for frame in (10, 12, 40, 70):
        series["flicker"][frame] = 100 + frame
    assert [round(moment.seconds * 25) for moment in worst_moments(series)] == [70, 40]
    assert len(worst_moments(series, count=1)) == 1


def test_an_open_mouth_in_silence_is_a_moment(series):
    series["loudness"][60:64] = [-45.0] * 4
    (moment,) = worst_moments(series)
    assert moment.what == "open mouth in silence"
    assert moment.value == 0.05


def test_gaps_are_no_moments(series):
    series["flicker"] = [None] * 100
    series["sharpness"][3] = None
    assert worst_moments(series) == []
