"""Rooms in which nobody speaks, and the closed lips that hear them."""

import numpy as np
import torch

from latentsync_core.data_preparation.face_mesh import mouth_opening
from latentsync_core.training.face_clips import read_face_clips
from latentsync_core.training.quiet_rooms import (
    HEARD_STATES,
    LEVELS,
    NUM_ROOMS,
    ROOM_SECONDS,
    closed_frames,
    hear_rooms,
    record_room,
)
from tests.core.training.small_clips import save_small_clips


class Ear(torch.nn.Module):
    """States are the loudness of each 20 ms; remembers what it heard."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1))
        self.tracks: list[torch.Tensor] = []

    def encode(self, pcm: torch.Tensor) -> torch.Tensor:
        self.tracks.append(pcm)
        return pcm[: len(pcm) // 320 * 320].view(-1, 1, 1, 320).square().mean(-1).sqrt()


def test_nothing_is_left_of_who_spoke_before(tmp_path):
    clips = read_face_clips(save_small_clips(tmp_path, {"a": 1}, frames=75, side=8))
    loud = float(np.sqrt((clips[0].pcm ** 2).mean()))
    ear = Ear()
    rooms = hear_rooms(clips, ear, seed=1)
    assert len(rooms) == NUM_ROOMS
    assert {tuple(room.shape) for room in rooms} == {(HEARD_STATES, 1, 1)}
    assert max(float(room.max()) for room in rooms) < 0.1 * loud
    assert sum(float(room.max()) == 0 for room in rooms) == NUM_ROOMS // 6
    assert {len(track) for track in ear.tracks} == {16000 * ROOM_SECONDS, 16000 * (ROOM_SECONDS + 2)}
    assert all(torch.equal(*pair) for pair in zip(rooms, hear_rooms(clips, Ear(), seed=1), strict=True))


def test_rooms_are_as_loud_as_rooms_are():
    levels = [20 * np.log10(record_room(np.random.default_rng(seed)).std()) for seed in range(20)]
    assert min(levels) > LEVELS[0] - 0.01
    assert max(levels) < LEVELS[1] + 0.01
    assert np.std(levels) > 5


def test_lips_are_closed_in_a_clips_least_open_frames(tmp_path):
    (clip,) = read_face_clips(save_small_clips(tmp_path, {"a": 1}, frames=40, side=8))
    closed, openings = closed_frames(clip), mouth_opening(clip.mesh)
    assert closed.sum() == 2
    assert openings[closed].max() < openings[~closed].min()
