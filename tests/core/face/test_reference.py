"""Which frame stands for a person."""

from dataclasses import replace

import numpy as np
import pytest

from latentsync_core.face.alignment import fit_similarity
from latentsync_core.face.head_pose import POSE_POINTS
from latentsync_core.face.reference import choose_anchor, choose_mouths, nearest_pose
from latentsync_core.face.tracking import FaceFrame
from tests.core.face.scripted_faces import face_at


def frame(index, face=None):
    return FaceFrame(index, 0, fit_similarity(face.anchors) if face else None, face)


def test_the_mouth_is_rather_open_but_not_at_its_widest():
    frames = [frame(100 + index, face_at(200, opening=0.005 * index)) for index in range(11)]
    assert choose_anchor(frames) == 106


def test_who_smiles_broadly_all_the_time_is_shown_at_their_calmest():
    frames = [frame(index, face_at(200, opening=0.05 + 0.05 * index)) for index in range(5)]
    assert choose_anchor(frames) == 0


def test_a_frontal_frame_is_preferred_to_a_turned_one_with_the_better_mouth():
    frames = [frame(index, face_at(200, yaw=45, opening=0.01 * index)) for index in range(10)]
    frames.append(frame(10, face_at(200, yaw=3, opening=0.02)))
    assert choose_anchor(frames) == 10


def test_for_a_turned_face_a_frame_turned_alike_is_preferred():
    frames = [frame(index, face_at(200, yaw=yaw)) for index, yaw in enumerate((0, -31, 4, 33, 12))]
    assert choose_anchor(frames, nearest_pose([20, 28, 29])) == 3
    assert choose_anchor(frames, nearest_pose([-44, -26, 1])) == 1


def test_small_turns_of_the_head_do_not_change_the_reference():
    assert nearest_pose([-7, 2, 6, 7]) == 0


def test_of_equal_mouths_the_sharp_frame_is_taken():
    frames = [frame(index, face_at(200, sharpness=20.0 if index == 4 else 8.0)) for index in range(8)]
    assert choose_anchor(frames) == 4


def test_frames_without_a_face_are_passed_over():
    assert choose_anchor([frame(0), frame(1, face_at(200)), frame(2)]) == 1


def test_no_face_at_all_is_an_error():
    with pytest.raises(ValueError, match="none of the 2 frames"):
        choose_anchor([frame(0), frame(1)])


def test_mouths_are_of_all_openings_and_of_each_sort_the_sharpest():
    frames = [frame(index, replace(face_at(200, opening=0.001 * index), sharpness=index % 5)) for index in range(180)]
    chosen = choose_mouths(frames)
    assert chosen == sorted(chosen)
    assert [number // 15 for number in chosen] == sorted([*range(12)] * 3)
    assert {number % 5 for number in chosen} == {4}


def test_mouths_as_wide_as_each_other_are_of_one_sort():
    head = np.zeros((len(POSE_POINTS), 2), np.float32)
    faces = []
    for index in range(9):
        corners = head.copy()
        corners[POSE_POINTS.index(291), 0] = 40 + 10 * (index % 3)
        faces.append(replace(face_at(200), head=corners, sharpness=index))
    frames = [frame(index, face) for index, face in enumerate(faces)] * 12
    frames = [replace(each, index=number) for number, each in enumerate(frames)]
    widths = [faces[number % 9].head[POSE_POINTS.index(291), 0] for number in choose_mouths(frames)]
    assert sorted(set(widths)) == [40, 50, 60]


def test_mouths_of_heads_turned_otherwise_or_not_detected_are_passed_over():
    frames = [
        frame(0, face_at(200, yaw=40)),
        frame(1, face_at(200)),
        frame(2),
        frame(3, replace(face_at(200), confidence=0)),
    ]
    assert choose_mouths(frames) == [1]
    assert choose_mouths(frames, yaw=75) == []
