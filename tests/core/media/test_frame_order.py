"""Frames come in the timeline's order, also backward, while few are held."""

from pathlib import Path

import pytest

from latentsync_core.media import frame_order
from latentsync_core.media.frame_grid import read_frame_grid
from latentsync_core.media.frame_order import read_in_order, split_stretches
from latentsync_core.media.probe import probe_media
from latentsync_core.media.video_reader import VideoReader
from latentsync_core.streaming import Stopped
from tests.core.clips import numbered_clip, numbers_of


@pytest.mark.parametrize(
    ("sources", "stretches"),
    [
        ([0, 1, 2], [[0, 1, 2]]),
        ([0, 1, 2, 2, 1, 0, 0, 1], [[0, 1, 2], [2, 1, 0], [0, 1]]),
        ([0, 1, 2, 0, 1], [[0, 1, 2], [0, 1]]),
        ([0, 1, 1, 1], [[0, 1], [1, 1]]),
        ([0, 0, 0], [[0, 0, 0]]),
        ([5], [[5]]),
        ([], []),
    ],
)
def test_an_order_is_divided_where_its_step_changes(sources: list[int], stretches: list[list[int]]):
    assert split_stretches(sources) == stretches


def test_ping_pong_loop_and_freeze_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(frame_order, "MAX_PIECE", 8)
    info = probe_media(numbered_clip(tmp_path / "clip.mp4", 30))
    ping_pong = [*range(30), *range(29, -1, -1), 0, 1, 2]
    with VideoReader(info, read_frame_grid(info)) as reader:
        for order in (ping_pong, ping_pong[47:], [*range(30), *range(5)], [27, 28, 29, 29, 29]):
            assert numbers_of(read_in_order(reader, order)) == order


def test_reading_can_be_stopped_from_outside(tmp_path: Path):
    info = probe_media(numbered_clip(tmp_path / "clip.mp4", 60))
    with VideoReader(info, read_frame_grid(info)) as reader:
        frames = read_in_order(reader, range(60))
        next(frames)
        reader.stop()
        with pytest.raises(Stopped):
            list(frames)
