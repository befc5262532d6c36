"""Train the variants of a study one after the other, and compare them (arXiv:2412.09262, figures 7-12).

The study's folder gets a run folder for each variant, `study.png`, all validation curves in one chart, and `study.md`,
the table beside what the paper found. Both are written anew after every variant.
"""

import logging
from collections.abc import Callable
from pathlib import Path

import yaml

from latentsync_core.errors import BadOption, Cancelled, LipSyncError
from latentsync_core.training.curves import Curve, plot_curves
from latentsync_core.training.run_facts import plain_values
from latentsync_core.training.run_state import RunState, read_state
from latentsync_core.training.runs import RECIPE, VALIDATION, TrainingRun, read_run
from latentsync_core.training.study import Study, Variant, build_variants, read_study, refuse_missing_data

log = logging.getLogger(__name__)

CHART, TABLE = "study.png", "study.md"
POSITION = ("step", "seconds")
NOTHING = "–"


def ablate(
    path: Path,
    out_dir: Path,
    overrides: list[str] | None = None,
    only: list[str] | None = None,
    on_variant: Callable[[str, str], None] = lambda name, what: None,
) -> None:
    """Run a study. A variant that is finished is not trained again, one that was started goes on.

    Args:
        path: of the study.
        out_dir: for its runs, chart and table.
        overrides: key=value, of all variants.
        only: names of the variants to train; None = all. The others are compared as far as they are.
        on_variant: told a variant's name and what happens to it.

    Raises:
        BadOption: before anything is trained, naming the variant that is wrong, lacks data, or was begun with other
            settings.
        Cancelled: after SIGINT or SIGTERM, with a checkpoint saved.
    """
    study = read_study(path)
    variants = build_variants(path, study, out_dir, overrides or [])
    unknown = set(only or ()) - {variant.name for variant in variants}
    if unknown:
        raise BadOption(f"{path} has no variant {', '.join(sorted(unknown))}")
    wanted = [variant for variant in variants if only is None or variant.name in only]
    for variant in wanted:
        _refuse_other_settings(variant)
    unfinished = [variant for variant in wanted if not _is_finished(variant)]
    refuse_missing_data(unfinished)
    for variant in wanted:
        if variant in unfinished:
            on_variant(variant.name, "training")
            _train(variant)
        else:
            on_variant(variant.name, "finished before")
        compare(study, variants, out_dir)


def compare(study: Study, variants: list[Variant], out_dir: Path) -> None:
    """Draw the chart and write the table of what the variants' folders hold."""
    curves = {variant.name: Curve(variant.recipe.run_dir / VALIDATION) for variant in variants}
    runs = [read_run(variant.recipe.run_dir, variant.name) for variant in variants]
    measures = measures_of(runs)
    if measures:
        chance = variants[0].trainer.chance
        plot_curves(out_dir / CHART, curves, {name: chance.get(name) for name in measures}, over_time=True)
    (out_dir / TABLE).write_text(table(study, runs, variants[0].trainer.best_by), encoding="utf-8")


def table(study: Study, runs: list[TrainingRun], best_by: str = "total") -> str:
    """The Markdown table of the runs, with the paper's finding: values on held-out people, at the end and at best.

    The best row of a curve is that of its lowest `best_by`.
    """
    measures = measures_of(runs)
    heads = ["variant", "state", "steps", "minutes"]
    heads += [f"held-out {_word(name)}, {when}" for when in ("end", "best") for name in measures]
    lines = [f"# {study.title}", "", f"The paper ({study.source}): {study.finding}", ""]
    lines += ["| " + " | ".join(heads) + " |", "|---|---|" + "---:|" * (len(heads) - 2)]
    for run in runs:
        cells = [run.name, run.state if run.steps else "not trained", str(run.steps), f"{run.seconds / 60:.1f}"]
        for row in (run.validation[-1:], sorted(run.validation, key=lambda row: row.get(best_by, 0.0))[:1]):
            cells += [_figure(row[0][name]) if row and name in row[0] else NOTHING for name in measures]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", f"![validation curves]({CHART})", ""])


def measures_of(runs: list[TrainingRun]) -> list[str]:
    """The names of what was validated, in the order of the files."""
    names = [name for run in runs for row in run.validation[:1] for name in row if name not in POSITION]
    return list(dict.fromkeys(names))


def _train(variant: Variant) -> None:
    """Train a variant, or go on with it.

    Raises:
        BadOption: naming the variant, if it cannot be trained.
    """
    try:
        variant.trainer.train(variant.recipe, resume=True)
    except Cancelled:
        raise
    except LipSyncError as error:
        raise BadOption(f"variant {variant.name!r}: {error}") from error


def _is_finished(variant: Variant) -> bool:
    state = read_state(variant.recipe.run_dir)
    return state is not None and state[0] is RunState.FINISHED


def _refuse_other_settings(variant: Variant) -> None:
    """Make sure that a folder's run is this variant's.

    Raises:
        BadOption: naming the variant and the settings that differ.
    """
    path = variant.recipe.run_dir / RECIPE
    if not path.exists():
        return
    before, now = yaml.safe_load(path.read_text(encoding="utf-8")) or {}, plain_values(variant.recipe)
    differing = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    if differing:
        changes = ", ".join(f"{key} was {before.get(key)!r}, is {now.get(key)!r}" for key in differing)
        raise BadOption(f"variant {variant.name!r} was begun with other settings: {changes}; take another OUT_DIR")


def _word(measure: str) -> str:
    return "loss" if measure == "total" else measure


def _figure(value: float) -> str:
    """Four places, or two digits of what would vanish in them."""
    return f"{value:.4f}" if value == 0 or abs(value) >= 1e-3 else f"{value:.1e}"
