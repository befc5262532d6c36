"""From scores of pairs to tables: means with counts and intervals, distances of sets, systems compared pair by pair."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from itertools import combinations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentsync_core.evaluation.measures import MODES, PAIR_MEASURES, SET_MEASURES, measures_of
from latentsync_core.evaluation.metrics.frechet import frechet_distance
from latentsync_core.evaluation.pairs import GROUND_TRUTH
from latentsync_core.evaluation.run_pairs import PairScore
from latentsync_core.evaluation.statistics import compare, jackknife_estimate, mean_estimate

#: {measure: {"value", "count", "low", "high"}}
Row = dict[str, dict[str, Any]]


def summarise(scores: list[PairScore], baselines: Sequence[str]) -> dict[str, Any]:
    """Make the tables.

    Args:
        scores: of all systems on all pairs.
        baselines: names of the rows that are no method's: methods are compared with each other and with these.

    Returns:
        JSON-ready: "tables" {mode: {system: Row}}, and "comparisons", a list of first, second, mode and, by measure,
        value, count, low, high and first_higher.
    """
    tables: dict[str, dict[str, Row]] = {}
    comparisons = []
    for mode in MODES:
        of_mode = [score for score in scores if score.mode == mode]
        systems = list(dict.fromkeys(score.system for score in of_mode))
        if not systems:
            continue
        grouped = {system: [score for score in of_mode if score.system == system] for system in systems}
        tables[mode] = {system: _row(mode, grouped[system]) for system in systems}
        methods = [system for system in systems if system not in baselines]
        others = [system for system in systems if system in baselines and system != GROUND_TRUTH.name]
        for first, second in [*combinations(methods, 2), *product(methods, others)]:
            measures = _differences(mode, grouped[first], grouped[second])
            if measures:
                comparisons.append({"mode": mode, "first": first, "second": second, "measures": measures})
    return {"tables": tables, "comparisons": comparisons}


def _row(mode: str, scores: list[PairScore]) -> Row:
    row = {}
    for measure in measures_of(mode):
        if measure in PAIR_MEASURES:
            values = [score.scores[measure.key] for score in scores if measure.key in score.scores]
            estimate = mean_estimate(values)
        else:
            estimate = jackknife_estimate(range(len(scores)), partial(_distance, scores, measure.key))
        if estimate is not None:
            row[measure.key] = asdict(estimate)
    return row


def _distance(scores: list[PairScore], key: str, chosen: Sequence[int]) -> float:
    """Frechet distance of the results' features from those of what they are compared with."""
    sides = []
    for side in ("result", "real"):
        found = [scores[index].features.get(side, {}).get(key) for index in chosen]
        features: list[NDArray[np.float32]] = [array for array in found if array is not None and len(array)]
        if not features:
            return float("nan")
        sides.append(np.concatenate(features))
    return frechet_distance(*sides)


def _differences(mode: str, first: list[PairScore], second: list[PairScore]) -> dict[str, Any]:
    by_name = {score.name: score.scores for score in second}
    found = {}
    for measure in measures_of(mode):
        if measure in SET_MEASURES:
            continue
        common = [
            (score.scores[measure.key], by_name[score.name][measure.key])
            for score in first
            if measure.key in score.scores and measure.key in by_name.get(score.name, {})
        ]
        comparison = compare([a for a, _ in common], [b for _, b in common])
        if comparison is not None:
            found[measure.key] = {**asdict(comparison.difference), "first_higher": comparison.first_higher}
    return found
