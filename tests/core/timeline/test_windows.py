"""Frames are divided into windows that overlap, respect cuts and do not depend on where a run begins."""

from fractions import Fraction

import pytest

from latentsync_core.models.unet_config import UNetConfig
from latentsync_core.windows import Block, FrameState, overlap_of, phases_of, plan_blocks


def states(shots: list[int | None], jumps: tuple[int, ...] = ()) -> list[FrameState]:
    return [FrameState(index, shot, index > 0 and index not in jumps) for index, shot in enumerate(shots)]


def plan(shots: list[int | None], phases: int = 1, jumps: tuple[int, ...] = ()) -> list[Block]:
    return list(plan_blocks(states(shots, jumps), window_frames=16, overlap=4, num_phases=phases))


@pytest.mark.parametrize(("fps", "phases"), [("24", 1), ("25", 1), ("30000/1001", 1), ("30", 1), ("50", 2), ("60", 2)])
def test_high_rates_are_seen_in_interleaved_windows(fps: str, phases: int):
    assert phases_of(Fraction(fps), 25.0) == phases


def test_windows_overlap_only_where_frames_see_each_other():
    assert overlap_of(UNetConfig(), 4) == 4
    assert overlap_of(UNetConfig(use_motion_module=False), 2) == 2  # norms over all frames
    assert overlap_of(UNetConfig(use_motion_module=False, use_inflated_groupnorm=True), 4) == 0


def test_without_overlap_windows_lie_side_by_side():
    blocks = list(plan_blocks(states([0] * 40), window_frames=16, overlap=0, num_phases=1))
    assert [(b.frames.start, b.frames.stop, b.lead, b.tail) for b in blocks] == [
        (0, 16, 0, 0),
        (16, 32, 0, 0),
        (32, 40, 0, 0),
    ]


def test_windows_of_a_run_overlap():
    blocks = plan([0] * 40)
    assert [(b.frames, b.lead, b.tail) for b in blocks] == [
        (range(0, 16), 0, 4),
        (range(12, 28), 4, 4),
        (range(24, 40), 4, 0),
    ]


@pytest.mark.parametrize("length", [1, 4, 15, 16, 17, 28, 29, 100])
@pytest.mark.parametrize("phases", [1, 2])
def test_every_frame_is_finished_once_and_in_order(length: int, phases: int):
    blocks = plan([0] * length, phases)
    assert [frame for block in blocks for frame in block.finished] == list(range(length))
    for block in blocks:
        covered = sorted(position for window in block.windows(phases) for position in window)
        assert covered == list(range(len(block.frames)))
        assert max(len(window) for window in block.windows(phases)) <= 16


def test_interleaved_windows_take_every_second_frame():
    [block, *_] = plan([0] * 60, phases=2)
    first, second = block.windows(2)
    assert list(first) == list(range(0, 32, 2))
    assert list(second) == list(range(1, 32, 2))


def test_cuts_faceless_frames_and_jumps_divide():
    blocks = plan([0] * 10 + [None] * 3 + [1] * 6 + [2] * 5, jumps=(16,))
    assert [(b.frames.start, b.frames.stop, b.shot) for b in blocks] == [
        (0, 10, 0),
        (10, 13, None),
        (13, 16, 1),
        (16, 19, 1),
        (19, 24, 2),
    ]
    assert all(block.lead == 0 and block.tail == 0 for block in blocks)


def test_frames_without_a_face_pass_in_pieces_that_do_not_overlap():
    blocks = plan([None] * 40)
    assert [len(block.frames) for block in blocks] == [16, 16, 8]
    assert not any(block.lead or block.tail for block in blocks)


def test_blocks_come_as_soon_as_their_frames_are_known():
    seen = 0

    def count_states():
        nonlocal seen
        for state in states([0] * 100):
            seen += 1
            yield state

    next(plan_blocks(count_states(), 16, 4, 1))
    assert seen == 17
