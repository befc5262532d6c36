"""A whole evaluation: pairs, systems and the rows that every table has; measured, summed up, written down."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from latentsync_core.errors import BadOption
from latentsync_core.evaluation.judges import StableSyncNetJudge
from latentsync_core.evaluation.pairs import GROUND_TRUTH, PASTE_REFERENCE, SOURCE_UNCHANGED, Pair, System
from latentsync_core.evaluation.report_files import write_reports
from latentsync_core.evaluation.run_pairs import RunSettings, run_pairs
from latentsync_core.evaluation.summary import summarise
from latentsync_core.evaluation.weights import ALL, STABLE_SYNCNET


def evaluate_systems(
    pairs: list[Pair],
    systems: list[System],
    out_dir: Path,
    settings: RunSettings,
    *,
    title: str,
    about: str = "",
    command: str = "",
    published: str | None = None,
    workers: int = 1,
    with_baselines: bool = True,
    on_done: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Measure all systems on all pairs and write results.json, report.md, report.html and plots.

    Args:
        pairs: at least one.
        systems: with names of their own.
        out_dir: where it goes; an evaluation there goes on where it stopped.
        settings: what figures depend on.
        title, about, command: for the reports.
        published: data set whose published figures stand beside ours.
        workers: processes.
        with_baselines: add ground truth, source unchanged and paste the reference.
        on_done: called with finished and all pairs.

    Returns:
        what results.json holds.

    Raises:
        BadOption: if two systems have one name.
        BadCheckpoint: for weights that are there and are something else.
        NoSpeech, UnreadableMedia, FaceNotFound: if a source or a sound cannot be judged.
    """
    baselines = (
        [GROUND_TRUTH, SOURCE_UNCHANGED, System(PASTE_REFERENCE, "paste_reference", _pasted(out_dir, settings))]
        if with_baselines
        else []
    )
    rows = [*baselines, *systems]
    if len({system.name for system in rows}) < len(rows):
        raise BadOption("two rows of a table need two names: give --results NAME=FOLDER")
    scores = run_pairs(pairs, rows, out_dir, settings, workers, on_done)
    weights = settings.weights
    results = {
        "kind": "single" if systems and systems[0].kind == "single" else "table",
        "title": title,
        "about": about,
        "command": command,
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "seconds": settings.seconds,
        "vshift": settings.vshift,
        "published": published,
        "baselines": [system.name for system in baselines],
        "stable_syncnet": _judge_name(settings),
        "missing": {key: why for file in ALL if (why := weights.missing(file)) for key in file.metrics},
        **summarise(scores, [system.name for system in baselines]),
        "pairs": [score.to_dict() for score in scores],
    }
    write_reports(results, out_dir)
    return results


def _pasted(out_dir: Path, settings: RunSettings) -> Path:
    return out_dir / f"pasted_{settings.seconds:g}s"


def _judge_name(settings: RunSettings) -> str | None:
    weights = settings.weights
    if weights.missing(STABLE_SYNCNET) is not None:
        return None
    return StableSyncNetJudge.name_of(weights.path_of(STABLE_SYNCNET))
