"""The tracker's logic on scripted faces: which face, which shot, which frames, in which order."""

import numpy as np
import pytest

from latentsync_core.errors import BadOption
from latentsync_core.face.alignment import fit_similarity
from latentsync_core.face.tracking import FaceFrame, FaceTracker
from tests.core.face.scripted_faces import ScriptedDetector, face_at, scene


def track(script, scenes=None, *, fps=25.0, choice=None, lookahead_seconds=1.0) -> list[FaceFrame]:
    """Run a script of faces; `scenes` numbers the picture of each frame."""
    tracker = FaceTracker(ScriptedDetector(script), fps, choice, lookahead_seconds=lookahead_seconds)
    finished = []
    for number in scenes or [0] * len(script):
        finished += tracker.push(scene(number))
    finished += tracker.finish()
    assert [frame.index for frame in finished] == list(range(len(script)))
    assert tracker.frames_seen == len(script)
    return finished


def centres(frames) -> list[float | None]:
    return [round(frame.landmarks.centre[0], 1) if frame.landmarks else None for frame in frames]


def test_every_frame_comes_out_once_and_in_order_with_its_face():
    frames = track([[face_at(200)]] * 60)
    assert centres(frames) == [200.0] * 60
    assert {frame.shot for frame in frames} == {0}
    np.testing.assert_allclose(frames[30].matrix, fit_similarity(frames[30].landmarks.anchors))


def test_a_single_frame_is_a_video_too():
    (frame,) = track([[face_at(200)]])
    assert frame.matrix is not None
    assert frame.mouth_opening == pytest.approx(0.05)


def test_a_video_without_a_face_passes_through_frame_by_frame_without_waiting():
    tracker = FaceTracker(ScriptedDetector([[]] * 40), 25.0)
    arrived = sum(len(tracker.push(scene(0))) for _ in range(40))
    assert arrived >= 30  # no lookahead is spent where there is nothing to choose from
    rest = tracker.finish()
    assert arrived + len(rest) == 40
    assert all(frame.matrix is None and frame.mouth_opening is None for frame in rest)


def test_no_frames_at_all_give_nothing():
    assert FaceTracker(ScriptedDetector([]), 25.0).finish() == []


def test_the_largest_track_is_followed_although_another_is_larger_for_a_moment():
    small = [face_at(150, height=80)] * 100
    large = [face_at(450, height=110)] * 100
    small[10:15] = [face_at(150, height=130)] * 5
    frames = track([[a, b] for a, b in zip(small, large, strict=True)], lookahead_seconds=2)
    assert centres(frames) == [450.0] * 100


def test_two_people_never_take_turns_within_a_shot():
    """The reference takes the largest face of each frame: two people of one size flicker."""
    rng = np.random.default_rng(1)
    script = [[face_at(150, height=100 + rng.normal()), face_at(450, height=100 + rng.normal())] for _ in range(80)]
    assert len(set(centres(track(script)))) == 1


@pytest.mark.parametrize(("choice", "expected"), [(0, 100.0), (1, 300.0), (2, 500.0), ((480, 160), 500.0)])
def test_the_user_may_choose_by_rank_from_the_left_or_by_a_point(choice, expected):
    script = [[]] * 3 + [[face_at(500, height=70), face_at(100, height=70), face_at(300, height=120)]] * 40
    assert centres(track(script, choice=choice)) == [None] * 3 + [expected] * 40


def test_an_index_beyond_the_faces_of_the_first_frame_is_refused_by_number():
    with pytest.raises(BadOption, match=r"face 2 was asked for.*shows 1"):
        track([[face_at(100)]] * 30, choice=2)


def test_a_face_is_not_followed_across_a_cut_but_chosen_anew():
    script = [[face_at(150)]] * 30 + [[face_at(450)]] * 30
    frames = track(script, [0] * 30 + [1] * 30)
    assert centres(frames) == [150.0] * 30 + [450.0] * 30
    assert [frame.shot for frame in frames] == [0] * 30 + [1] * 30


def test_smoothing_never_crosses_a_cut():
    script = [[face_at(150)]] * 20 + [[face_at(190)]] * 20
    frames = track(script, [0] * 20 + [1] * 20)
    x = np.array([frame.landmarks.anchors[2, 0] for frame in frames])
    assert np.ptp(x[:20]) == pytest.approx(0, abs=1e-9)
    assert np.ptp(x[20:]) == pytest.approx(0, abs=1e-9)


def test_a_chosen_person_is_found_again_after_a_cut_where_place_and_size_tell():
    first = [[face_at(150, height=80), face_at(450, height=140)]] * 20
    other = [[face_at(320, height=140)]] * 20  # somebody else, alone
    back = [[face_at(160, height=82), face_at(455, height=140)]] * 20
    frames = track(first + back + other, [0] * 20 + [1] * 20 + [2] * 20, choice=0)
    assert centres(frames) == [150.0] * 20 + [160.0] * 20 + [320.0] * 20


def test_a_short_gap_is_bridged_and_a_long_one_passes_through():
    script = [[face_at(200.0 + index)] for index in range(80)]
    script[20:25] = [[]] * 5
    script[50:60] = [[]] * 10
    frames = track(script)
    assert [frame.index for frame in frames if frame.matrix is None] == list(range(50, 60))
    assert centres(frames)[20:25] == [220.0, 221.0, 222.0, 223.0, 224.0]
    assert all(frame.landmarks.confidence == 0 for frame in frames[20:25])


def test_no_gap_is_bridged_across_a_cut():
    script = [[face_at(200)]] * 18 + [[]] * 4 + [[face_at(200)]] * 18
    frames = track(script, [0] * 20 + [1] * 20)
    assert [frame.index for frame in frames if frame.matrix is None] == [18, 19, 20, 21]


@pytest.mark.parametrize(
    "unusable",
    [face_at(200, height=30), face_at(200, yaw=75), face_at(200, yaw=-75), face_at(-30), face_at(300, y=-25)],
    ids=["tiny", "profile", "other profile", "outside left", "outside above"],
)
def test_unusable_faces_count_as_none(unusable):
    assert centres(track([[unusable]] * 40)) == [None] * 40


def test_a_face_at_the_limit_of_turning_does_not_flicker():
    script = [[face_at(200, yaw=50)]] * 30 + [[face_at(200, yaw=57 if index % 2 else 63)] for index in range(30)]
    assert None not in centres(track(script))


def test_a_person_who_turns_away_and_back_is_the_same_person():
    turn = [[face_at(200, yaw=85, height=120), face_at(450, height=90)]] * 40
    script = [[face_at(200, height=120), face_at(450, height=90)]] * 30 + turn
    script += [[face_at(200, height=120), face_at(450, height=90)]] * 30
    frames = track(script)
    assert centres(frames) == [200.0] * 30 + [None] * 40 + [200.0] * 30
    assert {frame.shot for frame in frames} == {0}


def test_when_the_followed_person_has_left_another_one_is_followed_as_a_new_shot():
    script = [[face_at(200, height=120), face_at(450, height=90)]] * 40 + [[face_at(450, height=90)]] * 80
    frames = track(script)
    assert centres(frames)[:40] == [200.0] * 40
    assert centres(frames)[-50:] == [450.0] * 50
    assert frames[-1].shot == frames[0].shot + 1


def test_trembling_is_averaged_and_steady_motion_is_not_dragged():
    rng = np.random.default_rng(0)
    still = track([[face_at(200 + rng.normal(scale=2.0))] for _ in range(100)])
    x = np.array([frame.landmarks.anchors[2, 0] for frame in still])
    assert np.diff(x).std() < 0.5 * 2.0 * np.sqrt(2)
    moving = track([[face_at(200.0 + 3 * index)] for index in range(60)])
    for index in (0, 1, 30, 59):
        np.testing.assert_allclose(moving[index].landmarks.anchors, face_at(200.0 + 3 * index).anchors, atol=1e-9)


def test_results_do_not_depend_on_how_long_the_lookahead_holds_frames_back():
    rng = np.random.default_rng(2)
    script = [[face_at(200 + rng.normal())] if rng.random() > 0.1 else [] for _ in range(150)]
    short, long = track(script, lookahead_seconds=0.2), track(script, lookahead_seconds=30)
    for a, b in zip(short, long, strict=True):
        assert (a.matrix is None) == (b.matrix is None)
        if a.matrix is not None:
            np.testing.assert_array_equal(a.matrix, b.matrix)


def test_memory_does_not_grow_with_the_video():
    """What the tracker holds after a long shot is what it held after a short one."""
    tracker = FaceTracker(ScriptedDetector([[face_at(200)]] * 600), 25.0, lookahead_seconds=1)
    picture, held = scene(0), []
    for index in range(600):
        tracker.push(picture)
        if index in (100, 599):
            held.append(sum(len(value) for value in vars(tracker).values() if isinstance(value, list | dict | set)))
    assert held[0] == held[1]
