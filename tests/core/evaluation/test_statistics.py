"""Intervals against scipy's bootstrap and the textbook."""

import numpy as np
import pytest
from scipy.stats import bootstrap

from latentsync_core.evaluation.statistics import compare, jackknife_estimate, mean_estimate


def test_the_interval_of_a_mean_agrees_with_scipys_percentile_bootstrap():
    values = np.random.default_rng(0).gamma(2.0, size=25)
    theirs = bootstrap(
        (values,), np.mean, n_resamples=5000, method="percentile", random_state=np.random.default_rng(1)
    ).confidence_interval
    ours = mean_estimate(values.tolist())
    assert ours.value == pytest.approx(values.mean())
    assert ours.count == 25
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.03)
    assert mean_estimate(values.tolist()) == ours  # the same every time


def test_one_value_has_no_interval_and_none_no_mean():
    assert mean_estimate([2.0]).low is None
    assert mean_estimate([]) is None


def test_the_jackknife_of_a_mean_is_its_standard_error():
    values = np.random.default_rng(0).normal(5, size=30)
    found = jackknife_estimate(range(30), lambda chosen: float(values[list(chosen)].mean()))
    assert found.high - found.value == pytest.approx(1.96 * values.std(ddof=1) / np.sqrt(30))
    assert jackknife_estimate(range(3), lambda chosen: float("nan")) is None


def test_systems_are_compared_pair_by_pair():
    difficulty = np.random.default_rng(0).normal(size=20) * 10  # the same for both
    found = compare((difficulty + 1).tolist(), difficulty.tolist())
    assert found.difference.value == pytest.approx(1)
    assert (found.difference.low, found.difference.high) == pytest.approx((1, 1))
    assert found.first_higher == 1.0
