"""Shots and segments."""

from itertools import pairwise

import numpy as np
import pytest
from skimage import data

from latentsync_core.data_preparation.options import PrepareOptions
from latentsync_core.data_preparation.segments import cut_segments
from latentsync_core.data_preparation.shot_cuts import find_shots
from latentsync_core.errors import BadOption


@pytest.mark.parametrize("length", [*range(125, 760, 7), 250, 251, 500, 501, 10_000])
def test_a_shot_is_cut_evenly_and_whole_into_5_to_10_seconds(length):
    segments = cut_segments(40, 40 + length, 5, 10)
    assert segments[0][0] == 40
    assert segments[-1][1] == 40 + length
    assert all(before[1] == after[0] for before, after in pairwise(segments))
    lengths = [stop - first for first, stop in segments]
    assert 125 <= min(lengths) <= max(lengths) <= 250
    assert max(lengths) - min(lengths) <= 1


def test_a_shot_shorter_than_a_segment_gives_none():
    assert cut_segments(0, 124, 5, 10) == []


def test_limits_that_would_lose_footage_are_refused():
    with pytest.raises(BadOption, match="at least twice min_seconds"):
        PrepareOptions(min_seconds=6, max_seconds=10)


def moving(picture: np.ndarray, count: int) -> list[np.ndarray]:
    """The picture seen through a window that moves two pixels a frame."""
    return [np.ascontiguousarray(picture[:200, 2 * step : 2 * step + 240]) for step in range(count)]


def test_a_cut_is_found_where_it_is_and_movement_is_none():
    first, second = data.astronaut(), data.coffee()
    assert find_shots(moving(first, 20) + moving(second, 17)) == [(0, 20), (20, 37)]
    assert find_shots(moving(first, 30)) == [(0, 30)]


def test_no_frames_have_no_shots():
    assert find_shots([]) == []
