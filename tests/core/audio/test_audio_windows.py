"""Every frame hears the sound around its own time, and there are as many windows as frames."""

import pytest
import torch
from torch import Tensor

from latentsync_core.audio.audio_windows import cut_audio_windows, window_rows
from tests.parity.golden import facts

CHUNKS = facts("audio/audio")["feature2chunks"]


def numbered_track(states: int) -> Tensor:
    """Whisper-like features whose values are their row's number: (states, 5, 384)."""
    return torch.arange(states).float()[:, None, None].expand(-1, 5, 384)


def test_a_frame_hears_itself_and_two_frames_on_each_side():
    windows = cut_audio_windows(numbered_track(50), 25)
    assert windows.shape == (25, 50, 384)
    assert windows[12].unique().tolist() == list(range(20, 30))  # frames 10-14, two states each


def test_past_either_end_the_outermost_state_repeats():
    rows = window_rows(50, 25)
    assert rows[0].tolist() == [0, 0, 0, 0, 0, 1, 2, 3, 4, 5]
    assert rows[24].tolist() == [44, 45, 46, 47, 48, 49, 49, 49, 49, 49]


def test_tokens_run_through_the_layers_of_a_state_before_the_next_state():
    features = torch.arange(20 * 3).reshape(20, 3, 1).float()
    window = cut_audio_windows(features, 10, context_frames=1)[5, :, 0]
    assert window.tolist() == list(range(8 * 3, 14 * 3))


@pytest.mark.parametrize("recorded", CHUNKS, ids=lambda chunk: f"{chunk['fps']}fps-{chunk['features']}")
def test_windows_are_the_references_chunks_at_any_frame_rate(recorded: dict):
    rows = window_rows(recorded["features"], [frame / recorded["fps"] for frame in range(recorded["chunks"])])
    for chunk, expected in recorded["rows_of_chunk"].items():
        assert rows[int(chunk)].tolist() == expected
    # where we differ: the reference goes on after the sound has ended, with one or two chunks more
    assert recorded["chunks"] > recorded["audio_frames_exact"]


@pytest.mark.parametrize("fps", [24, 25, 30, 50, 60])
def test_no_time_falls_to_the_state_before_by_rounding(fps: int):
    """3/25 * 50 is 5.999... in floating point, and the reference's i * 50 / 25 is 6."""
    rows = window_rows(10**9, [frame / fps for frame in range(100_000)])
    assert rows[:, 4].tolist() == [max(frame * 50 // fps, 0) for frame in range(100_000)]


def test_two_seconds_of_speech_give_fifty_windows_at_25_fps():
    assert len(cut_audio_windows(numbered_track(100), 50)) == 50  # the reference makes 52


def test_times_may_repeat_and_lie_outside_the_sound():
    windows = cut_audio_windows(numbered_track(50), [-1.0, 0.5, 0.5, 99.0])
    assert windows[:, 0, 0].tolist() == [0.0, 21.0, 21.0, 49.0]


@pytest.mark.parametrize("shape", [(0, 5, 384), (10, 384)])
def test_what_is_no_track_is_refused(shape: tuple[int, ...]):
    with pytest.raises(ValueError, match="track"):
        cut_audio_windows(torch.zeros(shape), 3)
