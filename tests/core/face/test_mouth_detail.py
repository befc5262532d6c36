"""The fine half of a mouth: fetched where a real mouth agrees, left alone where it does not and outside the mouth."""

import cv2
import numpy as np
import pytest

from latentsync_core.face.mouth_detail import CHANGE_COST, match_mouths, sharpen_mouth, sketch_mouth

SIDE = 128
MOUTH = np.s_[80:98, 48:80]  # well within the ellipse


@pytest.fixture
def real():
    """Lips and teeth of random shapes, sharp."""
    noise = np.random.default_rng(0).uniform(0, 255, (SIDE, SIDE)).astype(np.float32)
    shapes = cv2.GaussianBlur(noise, (0, 0), 1.2)
    levels = np.clip(128 + 4 * (shapes - shapes.mean()), 0, 255).round().astype(np.uint8)
    return np.repeat(levels[..., None], 3, axis=2)


def soften(picture, sigma=2.5):
    return cv2.GaussianBlur(picture, (0, 0), sigma)


def likeness(first, second):
    return np.corrcoef(first[MOUTH].ravel().astype(float), second[MOUTH].ravel().astype(float))[0, 1]


def test_a_soft_mouth_becomes_as_sharp_as_the_real_one_and_the_rest_stays(real):
    drawn = soften(real)
    sharp = sharpen_mouth(drawn, drawn, real)
    assert likeness(drawn, real) < 0.75
    assert likeness(sharp, real) > 0.9
    assert np.array_equal(sharp[:40], drawn[:40])
    assert np.array_equal(sharp[:, :10], drawn[:, :10])


def test_the_real_mouth_is_carried_to_where_the_drawn_one_is(real):
    moved = np.roll(real, 3, axis=0)
    drawn = soften(moved)
    sharp = sharpen_mouth(drawn, drawn, real)
    assert likeness(sharp, moved) > 0.8 > likeness(drawn, moved)
    assert likeness(sharp, real) < 0.3


def test_nothing_comes_of_a_mouth_that_stands_otherwise(real):
    drawn = np.full_like(real, 250)
    assert np.abs(sharpen_mouth(drawn, drawn, real // 2).astype(int) - drawn)[MOUTH].max() <= 1


def test_detail_that_the_shown_face_has_already_is_replaced_not_doubled(real):
    drawn = soften(real)
    assert np.abs(sharpen_mouth(real, drawn, real).astype(int) - real)[MOUTH].mean() < 12


def sketches(*levels):
    return [np.full((16, 24, 3), float(level)) for level in levels]


def test_each_frame_gets_the_mouth_most_alike():
    assert match_mouths(sketches(10, 10, 90, 90), sketches(88, 12), np.zeros((4, 2))) == [1, 1, 0, 0]


def test_a_mouth_is_kept_while_another_is_hardly_nearer():
    nearer = 0.4 * CHANGE_COST
    drawn = sketches(50, 50 + nearer, 50, 50 + nearer, 50)
    assert match_mouths(drawn, sketches(50, 50 + nearer), np.zeros((5, 2))) == [0] * 5


def test_a_face_that_would_have_to_be_turned_far_is_passed_over():
    assert match_mouths(sketches(50, 50), sketches(50, 52), np.array([[30.0, 0], [30.0, 0]])) == [1, 1]


def test_mouths_are_told_apart_by_what_lies_in_the_mouths_place():
    closed, open_mouth, other_hair = (np.full((256, 256, 3), 150, np.uint8) for _ in range(3))
    open_mouth[165:195, 110:150] = 20
    other_hair[:60] = 0
    assert sketch_mouth(closed).shape == (16, 24, 3)
    assert np.array_equal(sketch_mouth(closed), sketch_mouth(other_hair))
    assert np.abs(sketch_mouth(closed) - sketch_mouth(open_mouth)).max() > 50
