"""Which frame stands for a person."""

import pytest

from latentsync_core.face.alignment import fit_similarity
from latentsync_core.face.reference import choose_anchor, nearest_pose
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
