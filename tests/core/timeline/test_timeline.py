"""Result frames show the right source frames and hear the right instants."""

from fractions import Fraction

import pytest

from latentsync_core.timeline import is_cut, plan_timeline, segments_of

#: (frames of the source, frames of the result, order): recorded from the reference
REFERENCE_ORDERS = [
    (10, 25, [*range(10), *range(9, -1, -1), 0, 1, 2, 3, 4]),
    (10, 10, list(range(10))),
    (10, 7, list(range(7))),
    (10, 20, [*range(10), *range(9, -1, -1)]),
    (10, 21, [*range(10), *range(9, -1, -1), 0]),
    (1, 3, [0, 0, 0]),
    (3, 8, [0, 1, 2, 2, 1, 0, 0, 1]),
]


@pytest.mark.parametrize(("source_frames", "num_frames", "order"), REFERENCE_ORDERS)
def test_ping_pong_goes_as_the_reference_does(source_frames: int, num_frames: int, order: list[int]):
    timeline = plan_timeline(source_frames, Fraction(25), num_frames / 25)
    assert list(timeline.sources) == order


@pytest.mark.parametrize(
    ("audio_longer", "order"),
    [("ping-pong", [0, 1, 2, 2, 1, 0, 0]), ("loop", [0, 1, 2, 0, 1, 2, 0]), ("freeze", [0, 1, 2, 2, 2, 2, 2])],
)
def test_longer_sound_is_filled_as_asked(audio_longer, order: list[int]):
    timeline = plan_timeline(3, Fraction(25), 0.28, audio_longer=audio_longer)
    assert list(timeline.sources) == order
    assert timeline.num_spoken == 7


def test_longer_sound_can_be_cut():
    timeline = plan_timeline(3, Fraction(25), 10.0, audio_longer="cut")
    assert (list(timeline.sources), timeline.num_spoken) == ([0, 1, 2], 3)


def test_shorter_sound_cuts_the_picture_or_lets_the_rest_pass():
    cut = plan_timeline(100, Fraction(25), 2.0)
    assert (cut.num_frames, cut.num_spoken) == (50, 50)
    passed = plan_timeline(100, Fraction(25), 2.0, audio_shorter="pass")
    assert (passed.num_frames, passed.num_spoken) == (100, 50)


@pytest.mark.parametrize("fps", [Fraction(24), Fraction(30000, 1001), Fraction(50), Fraction(60)])
@pytest.mark.parametrize("seconds", [0.2, 2.0, 3.333, 61.7])
def test_sound_and_picture_end_within_one_frame_and_no_sound_is_lost(fps: Fraction, seconds: float):
    timeline = plan_timeline(40, fps, seconds)
    assert 0 <= timeline.num_frames / float(fps) - seconds + 0.011 / float(fps) < 1.02 / float(fps)


def test_every_frame_hears_its_own_instant():
    timeline = plan_timeline(100, Fraction(30000, 1001), 3.0)
    assert timeline.audio_time(0) == 0
    assert timeline.audio_time(30) == pytest.approx(1.001)


def test_nothing_to_plan_is_refused():
    with pytest.raises(ValueError, match="nothing to plan"):
        plan_timeline(0, Fraction(25), 1.0)
    with pytest.raises(ValueError, match="nothing to plan"):
        plan_timeline(5, Fraction(25), 0.0)


def test_only_a_loop_jumps():
    assert is_cut(9, 0)
    assert not any(is_cut(9, later) for later in (8, 9, 10))


def test_segments_cover_everything_and_none_is_tiny():
    parts = segments_of(230, Fraction(25), 4.0)
    assert [(part.start, part.stop) for part in parts] == [(0, 100), (100, 230)]
    assert [len(part) for part in segments_of(260, Fraction(25), 4.0)] == [100, 100, 60]
    assert segments_of(3, Fraction(25), 4.0) == [range(3)]
