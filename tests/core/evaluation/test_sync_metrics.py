"""Sync confidence, offset, accuracy, and the silence test, with embeddings and mouths whose answer is known."""

import numpy as np
import pytest
import torch
from scipy.signal import medfilt
from torch.nn import functional

from latentsync_core.evaluation.metrics.silence import closed_in_silence, silence_movement, silent_frames
from latentsync_core.evaluation.metrics.sync_confidence import sync_score
from latentsync_core.evaluation.metrics.sync_preference import sync_preference
from latentsync_core.evaluation.metrics.syncnet_accuracy import syncnet_accuracy


@pytest.fixture
def moments():
    """Embeddings of 80 moments, far from each other."""
    return np.random.default_rng(0).normal(size=(80, 16)).astype(np.float32)


@pytest.mark.parametrize("delay", [-7, -1, 0, 3, 12])
def test_a_shifted_sound_gives_back_its_offset(moments, delay):
    score = sync_score(moments, np.roll(moments, delay, axis=0))  # the sound of moment t is heard at t + delay
    assert score.offset == delay
    assert score.confidence > 2


def test_what_fits_exactly_has_no_distance_and_the_highest_confidence(moments):
    perfect = sync_score(moments, moments)
    worse = sync_score(moments, moments + np.random.default_rng(1).normal(size=moments.shape))
    assert perfect.distance == pytest.approx(0, abs=1e-4)
    assert perfect.confidence > worse.confidence > sync_score(moments, moments[::-1].copy()).confidence


@pytest.mark.parametrize("vshift", [10, 15])
def test_it_is_the_published_arithmetic(moments, vshift):
    """The same from torch's pairwise distance, frame by frame."""
    pictures, sounds = torch.from_numpy(moments), torch.from_numpy(np.roll(moments, 2, axis=0)) * 0.9
    padded = functional.pad(sounds, (0, 0, vshift, vshift))
    window = 2 * vshift + 1
    rows = [
        functional.pairwise_distance(picture[None].repeat(window, 1), padded[t : t + window])
        for t, picture in enumerate(pictures)
    ]
    averages = torch.stack(rows, 1).mean(1)
    least, place = averages.min(0)
    score = sync_score(pictures.numpy(), sounds.numpy(), vshift)
    assert score.confidence == pytest.approx(float(averages.median() - least), abs=1e-4)
    assert score.distance == pytest.approx(float(least), abs=1e-4)
    assert score.offset == int(place) - vshift
    curve = float(averages.median()) - np.array([float(row[place]) for row in rows])
    assert score.curve == pytest.approx(medfilt(curve, 9), abs=1e-4)


def test_accuracy_is_one_for_true_sounds_and_one_half_where_the_judge_cannot_tell(moments):
    unit = moments / np.linalg.norm(moments, axis=1, keepdims=True)
    assert syncnet_accuracy(unit, unit) > 0.95
    assert syncnet_accuracy(unit, -unit) == 0.5  # all false: the wrong halves are right
    assert syncnet_accuracy(unit, np.ones_like(unit) / 4) == pytest.approx(0.5, abs=0.1)
    assert np.isnan(syncnet_accuracy(unit[:5], unit[:5]))


def test_a_judge_prefers_what_is_more_alike_and_chance_is_one_half(moments):
    unit = moments / np.linalg.norm(moments, axis=1, keepdims=True)
    assert sync_preference(unit, unit) == 1
    assert sync_preference(unit, -unit) == 0
    assert sync_preference(unit, np.ones_like(unit)) == 0.5  # every sound is as good
    assert np.isnan(sync_preference(unit[:10], unit[:10]))
    pictures = np.eye(12)
    sounds = np.roll(np.eye(12), 10, axis=0)  # each sound is that of the picture 10 frames before, or 2 after
    compared = [(t, s) for t in range(12) for s in range(12) if abs(t - s) >= 10]
    lost = [pictures[t] @ sounds[s] == 1 for t, s in compared]
    assert sync_preference(pictures, sounds) == pytest.approx(0.5 * (1 - np.mean(lost)))  # 0 against 0: one half


def test_silence_is_found_and_a_mouth_that_rests_in_it_scores_zero():
    speech = np.random.default_rng(0).normal(size=640 * 25).clip(-3, 3) * 5000
    pcm = np.concatenate([speech, speech * 0.001, speech]).astype(np.int16)
    silent = silent_frames(pcm)
    assert silent[28:47].all()
    assert not silent[:24].any()
    assert not silent[51:].any()
    moving = np.tile([0.0, 0.05], 38)[:75]
    resting = np.where(silent, 0.0, moving)
    assert silence_movement(moving, silent) == pytest.approx(1.0)
    assert silence_movement(resting, silent) == pytest.approx(0.0)
    assert np.isnan(silence_movement(moving[:24], silent[:24]))  # nobody is silent


def test_a_mouth_counts_as_closed_in_silence_when_it_is_less_open_than_in_four_fifths_of_its_speech():
    real = np.linspace(0.0, 0.1, 101)  # the 20th percentile is 0.02
    silent = np.zeros(60, bool)
    silent[20:50] = True
    closing = np.where(silent, 0.01, 0.09)
    closing[20:25] = 0.05  # the frames it needs to close
    closing[48:50] = 0.05  # and to open again
    assert closed_in_silence(closing, silent, real) == 1
    closing[30] = 0.03
    assert closed_in_silence(closing, silent, real) == pytest.approx(22 / 23)
    assert closed_in_silence(np.full(60, 0.03), silent, real) == 0
    assert np.isnan(closed_in_silence(closing, silent[30:32], real))
    assert closed_in_silence(np.full(60, 0.01), np.ones(60, bool), real) == 1


def test_a_quiet_room_is_silent_throughout():
    noise = np.random.default_rng(0).normal(size=640 * 25)
    assert silent_frames((noise * 80).astype(np.int16)).all()
    assert not silent_frames((noise * 800).astype(np.int16)).any()
