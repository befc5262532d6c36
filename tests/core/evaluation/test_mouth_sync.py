"""Correlation and spread of mouth openings."""

import numpy as np
import pytest

from latentsync_core.evaluation.mouth_sync import best_lag_correlation, spread_ratio


@pytest.fixture
def real():
    return np.random.default_rng(0).uniform(0, 0.1, 60)


@pytest.mark.parametrize("lag", [-2, -1, 0, 1, 2])
def test_a_small_shift_is_forgiven(real, lag):
    generated = 3 * np.roll(real, lag) + 1
    assert best_lag_correlation(generated, real) == pytest.approx(1.0)


def test_a_large_shift_is_not(real):
    assert best_lag_correlation(np.roll(real, 6), real) < 0.5


def test_a_mouth_that_moves_against_the_speech_scores_below_zero():
    real = np.sin(np.arange(100) / 8)
    assert best_lag_correlation(-real, real) < -0.9


def test_frames_without_a_face_are_left_out(real):
    generated = real.copy()
    generated[10:15] = np.nan
    assert best_lag_correlation(generated, real) == pytest.approx(1.0)
    assert spread_ratio(2 * real, real) == pytest.approx(2.0)


def test_a_still_mouth_has_no_score(real):
    assert np.isnan(best_lag_correlation(np.full(60, 0.02), real))
