"""Shot cuts on pictures: found where the picture changes, not where it moves."""

import numpy as np
import pytest
from skimage.data import astronaut

from latentsync_core.face.shots import ShotCuts
from tests.core.face.scripted_faces import scene


def cuts_of(frames) -> list[int]:
    shots = ShotCuts()
    return [index for index, frame in enumerate(frames) if shots.starts_shot(frame)]


def test_a_change_of_picture_is_a_cut_at_the_first_new_frame():
    frames = [scene(0)] * 10 + [scene(1)] * 10 + [scene(2)] + [scene(0)] * 5
    assert cuts_of(frames) == [10, 20, 21]


def test_the_first_frame_is_no_cut():
    assert cuts_of([scene(0)]) == []


@pytest.mark.parametrize("step", [2, 8, 16])
def test_a_moving_camera_is_no_cut(step):
    picture = astronaut()
    frames = [np.roll(picture, step * index, axis=1)[100:400, 100:400] for index in range(15)]
    assert cuts_of(frames) == []


def test_noise_and_slowly_changing_light_are_no_cut():
    rng = np.random.default_rng(0)
    picture = astronaut().astype(float)
    frames = [
        np.clip(picture * (1 - 0.02 * index) + rng.normal(scale=8, size=picture.shape), 0, 255).astype(np.uint8)
        for index in range(25)
    ]
    assert cuts_of(frames) == []


def test_a_cut_between_two_views_of_one_room_is_found():
    wide = astronaut()
    close = np.ascontiguousarray(wide[0:256, 100:356]).repeat(2, axis=0).repeat(2, axis=1)
    assert cuts_of([wide] * 12 + [close] * 12) == [12]


def test_black_frames_do_not_divide_by_zero():
    assert cuts_of([np.zeros((120, 160, 3), dtype=np.uint8)] * 5) == []
