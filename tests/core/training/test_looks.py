"""Looks: pure, all frames alike, lips painted where the mesh says."""

import numpy as np
import pytest

from latentsync_core.training.looks import INNER_LIPS, OUTER_LIPS, change_look, paint_lips


@pytest.fixture
def frames():
    return np.random.default_rng(0).integers(0, 255, (3, 32, 32, 3)).astype(np.uint8)


def test_variant_0_is_the_clip_itself(frames):
    assert np.array_equal(change_look(frames, 0, "clip"), frames)


def test_a_variant_is_a_function_of_its_number_and_the_clip(frames):
    assert np.array_equal(change_look(frames, 2, "clip"), change_look(frames, 2, "clip"))
    assert not np.array_equal(change_look(frames, 2, "clip"), change_look(frames, 2, "other"))


def test_odd_variants_are_mirrored():
    ramp = np.broadcast_to(np.linspace(0, 250, 64)[None, None, :, None], (1, 64, 64, 3)).astype(np.uint8)
    row = change_look(ramp, 1, "clip")[0, 32, :, 0].astype(int)
    assert row[5] > row[58]
    row = change_look(ramp, 2, "clip")[0, 32, :, 0].astype(int)
    assert row[5] < row[58]


def test_all_frames_of_a_look_change_alike(frames):
    twice = change_look(np.concatenate([frames[:1], frames[:1]]), 3, "clip")
    assert np.array_equal(twice[0], twice[1])


def some_lips(side: int = 64) -> np.ndarray:
    """A mesh whose lips are two ellipses around the middle, (1, 468, 2) pixels; the rest is a corner."""
    mesh = np.zeros((1, 468, 2))
    for points, width, height in ((OUTER_LIPS, 16, 10), (INNER_LIPS, 8, 3)):
        angles = np.linspace(0, 2 * np.pi, len(points), endpoint=False)
        mesh[0, list(points)] = side / 2 + np.stack([width * np.cos(angles), height * np.sin(angles)], axis=-1)
    return mesh


def test_some_looks_paint_the_lips_and_nothing_else():
    skin = np.full((1, 64, 64, 3), (180, 140, 120), np.uint8)
    painted = [paint_lips(skin, some_lips(), variant, "clip")[0] for variant in range(1, 21)]
    changes = [np.abs(picture.astype(int) - skin[0]).sum(-1) for picture in painted]
    some = [change for change in changes if change.any()]
    assert 3 <= len(some) <= 17
    for change in some:
        assert change[38:41, 32].min() > 0  # the lower lip
        assert change[32, 32] == 0  # between the lips
        assert change[:16].max() == change[48:].max() == 0


def test_lips_that_were_not_found_and_the_clip_itself_stay_as_they_are():
    skin = np.full((1, 64, 64, 3), 150, np.uint8)
    nowhere = np.full((1, 468, 2), np.nan)
    assert all(np.array_equal(paint_lips(skin, nowhere, variant, "clip"), skin) for variant in range(8))
    assert np.array_equal(paint_lips(skin, some_lips(), 0, "clip"), skin)
