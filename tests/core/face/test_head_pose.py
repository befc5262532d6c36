"""Turning a reference face into another pose, on a head whose true positions are known."""

import cv2
import numpy as np
import pytest

from latentsync_core.face.head_pose import (
    MOVED_POINTS,
    POSE_POINTS,
    STILL_POINTS,
    head_points,
    pose_distance,
    turn_head,
)

SIDE = 256


def head(yaw: float, *, jaw: float = 0.0) -> np.ndarray:
    """Points (P, 2) in the crop of a head of its own shape, turned by `yaw` degrees, its jaw lowered by some pixels."""
    shape = np.load("latentsync_core/face/mean_face.npy").astype(np.float64)[list(POSE_POINTS)]
    shape = shape * [1.1, 0.95, 1.0]  # nobody is the mean
    shape[len(STILL_POINTS) :, 1] += jaw / 1100
    angle = np.radians(yaw)
    turned = shape @ np.array([[np.cos(angle), 0, -np.sin(angle)], [0, 1, 0], [np.sin(angle), 0, np.cos(angle)]])
    return turned[:, :2] * 1100 + [SIDE / 2, SIDE / 2]


def picture(points: np.ndarray) -> np.ndarray:
    """A smooth picture (SIDE, SIDE, 3) with a white spot at the point of each face's lower lip."""
    image = np.full((SIDE, SIDE, 3), 60, np.uint8)
    x, y = points[LIP]
    cv2.circle(image, (round(x * 16), round(y * 16)), 6 * 16, (255, 255, 255), -1, cv2.LINE_AA, shift=4)
    return image


LIP = POSE_POINTS.index(17)


def spot(image: np.ndarray) -> np.ndarray:
    weights = np.clip(image[..., 0].astype(float) - 100, 0, None)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return np.array([(columns * weights).sum(), (rows * weights).sum()]) / weights.sum()


@pytest.mark.parametrize(("given", "wanted"), [(0, 12), (-10, 5), (20, 8)])
def test_the_lips_land_where_the_turned_head_has_them(given: float, wanted: float):
    drawn = turn_head(picture(head(given)), head(given), head(wanted))
    assert np.linalg.norm(spot(picture(head(given))) - head(wanted)[LIP]) > 4  # without turning
    assert np.linalg.norm(spot(drawn) - head(wanted)[LIP]) < 1.5


def test_the_other_frames_mouth_has_no_say():
    given = head(0)
    drawn = turn_head(picture(given), given, head(10))
    assert np.array_equal(drawn, turn_head(picture(given), given, head(10, jaw=25)))


def test_the_reference_keeps_its_own_mouth():
    given = head(0, jaw=20)
    drawn = turn_head(picture(given), given, head(10))
    assert spot(drawn)[1] == pytest.approx(given[LIP][1], abs=1)


def test_the_same_pose_changes_nothing():
    image = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    assert np.array_equal(turn_head(image, head(0), head(0)), image)


def test_a_pose_too_far_is_left_alone():
    image = picture(head(0))
    assert np.array_equal(turn_head(image, head(0), head(0) + 0.5 * SIDE), image)


def test_the_distance_of_poses_is_that_of_the_still_points():
    assert pose_distance(head(0), head(0, jaw=20)) == 0
    assert pose_distance(head(0), head(0) + np.array([3, 4])) == pytest.approx(5)
    assert len(set(POSE_POINTS)) == len(POSE_POINTS) == len(STILL_POINTS) + len(MOVED_POINTS)


def test_head_points_are_those_of_the_mesh():
    mesh = np.random.default_rng(0).uniform(0, SIDE, (2, 468, 3))
    assert np.array_equal(head_points(mesh)[1, 2], mesh[1, POSE_POINTS[2], :2])
