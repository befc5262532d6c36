"""What the embeddings do not tell of the mouth: measures of a mesh by hand, and layers that know the answer."""

import numpy as np
import pytest
import torch
from torch import nn

from latentsync_core.training.losses.mouth_loss import TaughtSyncNet, mouth_measures

POINTS = {10: (50, 0), 152: (50, 100), 1: (50, 60), 13: (50, 70), 14: (50, 76), 0: (50, 66), 17: (50, 82)}
CORNERS = {61: (35, 73), 291: (65, 73)}


def face(frames: int = 3) -> np.ndarray:
    mesh = np.zeros((frames, 468, 2), np.float32)
    for index, point in {**POINTS, **CORNERS}.items():
        mesh[:, index] = point
    return mesh


def test_measures_are_shares_of_the_face_and_the_same_in_a_mirror():
    mesh = face()
    np.testing.assert_allclose(mouth_measures(mesh), [[0.06, 0.30, 0.16, 0.40]] * 3, rtol=1e-5)
    mirrored = mesh * [-1, 1] + [100, 0]
    np.testing.assert_allclose(mouth_measures(mirrored), mouth_measures(mesh), rtol=1e-5)
    np.testing.assert_allclose(mouth_measures(2 * mesh), mouth_measures(mesh), rtol=1e-5)


def test_a_frame_without_a_face_measures_nothing_and_leaves_the_others_alone():
    mesh = face()
    mesh[1] = np.nan
    measured = mouth_measures(mesh)
    assert not measured[1].any()
    np.testing.assert_allclose(measured[2], [0.06, 0.30, 0.16, 0.40], rtol=1e-5)


class Telling(nn.Module):
    """A network whose embeddings are given."""

    def forward(self, frames, mel):
        return frames, mel


def test_nothing_is_missing_where_the_layers_know_the_movement_and_all_of_it_where_they_are_silent():
    torch.manual_seed(0)
    mouth = torch.rand(64, 5, 4)  # within 2 standard deviations: nothing is cut off
    movement = mouth - mouth.mean(1, keepdim=True)
    answer = (movement / movement.flatten(0, 1).std(0)).flatten(1)  # (64, 20), the embedding itself
    network = TaughtSyncNet(Telling(), 20, 5)
    seen, heard = network.readers
    with torch.no_grad():
        seen.weight.copy_(torch.eye(20) / 20**0.5)
        for tensor in (seen.bias, heard.weight, heard.bias):
            tensor.zero_()
    with torch.no_grad():
        judged = network.judge_mouth(*network(answer, answer), mouth)
    assert judged["mouth_seen"] == pytest.approx(0, abs=1e-9)
    assert judged["mouth_heard"] == pytest.approx(1, abs=0.01)


def test_a_mouth_that_never_moves_asks_for_nothing():
    network = TaughtSyncNet(Telling(), 20, 5)
    nn.init.zeros_(network.readers[0].bias)
    with torch.no_grad():
        judged = network.judge_mouth(torch.zeros(6, 20), torch.zeros(6, 20), torch.full((6, 5, 4), 0.3))
    assert judged["mouth_seen"] == pytest.approx(0, abs=1e-6)
