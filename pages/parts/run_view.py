"""The Training page's view of one run: how far it is, alarm, curves, samples, machine and settings."""

import math
from contextlib import suppress
from datetime import UTC, datetime
from html import escape

import streamlit as st

from latentsync_core.training.run_state import RunState
from latentsync_core.training.runs import ALARM, RECIPE, TrainingRun, find_runs
from latentsync_core.training.stuck_alarm import CHANCE_ACCURACY, CHANCE_LOSS
from pages.parts.markup import empty_state, fact_grid
from pages.parts.run_words import (
    MAIN_MEASURES,
    TRAINER_WORDS,
    last_losses,
    measure_words,
    run_badge,
    speed_words,
    steps_words,
)
from pages.parts.service import settings
from pages.parts.words import age_words, duration_words, time_left_words

POLL_SECONDS = 10.0
MOST_SAMPLES = 6
CHART_HEIGHT = 240  # pixels
TRAINING_COLOUR, HELD_OUT_COLOUR = "#14877d", "#d97706"
HELD_OUT = "held-out people"
#: An address of its own: st.page_link to the page that one is on would leave the run in the address.
BACK = '<a class="ls-back" href="training" target="_self"><span class="ls-glyph">arrow_back</span>All runs</a>'
Point = dict[str, float | str]  #: of a chart: step, value and curve, its label
CHANCE = {"total": CHANCE_LOSS, "accuracy": CHANCE_ACCURACY}  # of a SyncNet


def show_run(name: str) -> None:
    """Draw the view of the run of this name; it lives while the run does."""
    st.html(BACK)
    run = _find(name)
    if run is None:
        empty_state(
            "This run is not here",
            f"Its folder below {settings().runs_dir} was moved or deleted, or the link is wrong.",
            icon="model_training",
        )
        return
    st.fragment(_show, run_every=POLL_SECONDS if run.state is RunState.RUNNING else None)(name)


def _find(name: str) -> TrainingRun | None:
    """Among what is there, so that no address leads anywhere else."""
    return next((run for run in find_runs(settings().runs_dir) if run.name == name), None)


def _show(name: str) -> None:
    run = _find(name)
    if run is None:
        st.rerun()
    _show_head(run)
    if run.alarm:
        st.warning(run.alarm, icon=":material/warning:")
    with st.container(border=True, key="card_run"):
        if run.progress is not None and run.state is RunState.RUNNING:
            st.html(run_progress(run))
        fact_grid(run_facts(run))
    _show_curves(run)
    _show_samples(run)
    _show_machine(run)
    _show_settings(run)


def _show_head(run: TrainingRun) -> None:
    about = [TRAINER_WORDS[run.trainer], f"last written {age_words(run.changed, datetime.now(UTC))}"]
    st.html(
        f'<div class="ls-head"><h1>{escape(run.name)}</h1><p>{escape(" · ".join(about))}</p>'
        f'<p style="opacity:1">{run_badge(run.state)}</p></div>'
    )
    if run.state is RunState.STOPPED:
        st.info(f"Stopped before its end: {run.why}. `--resume latest` goes on with it.", icon=":material/info:")


def run_progress(run: TrainingRun) -> str:
    """Give the HTML of how far a running run is; empty if its settings are not known."""
    if run.progress is None:
        return ""
    percent = round(100 * run.progress)
    left = time_left_words(run.seconds / run.progress - run.seconds if run.progress else None)
    words = f"<b>Step {escape(steps_words(run))}</b><span>{escape(' · '.join(filter(None, [f'{percent} %', left])))}"
    return (
        f'<div class="ls-progress-words">{words}</span></div><div class="ls-bar" role="progressbar" aria-valuemin="0" '
        f'aria-valuemax="100" aria-valuenow="{percent}"><div style="width:{percent}%"></div></div>'
    )


def run_facts(run: TrainingRun) -> dict[str, str]:
    """What people ask for first; what is not known is left out."""
    facts = {"Steps": steps_words(run), **last_losses(run)}
    facts["Speed"] = speed_words(run)
    if run.seconds:
        facts["Trained for"] = duration_words(run.seconds)
    if run.waiting_share is not None:
        facts["Time waiting for data"] = f"{100 * run.waiting_share:.1f} %"
    return {name: text for name, text in facts.items() if text}


def _show_curves(run: TrainingRun) -> None:
    charts = chart_points(run)
    if not charts:
        st.caption("No curves yet: the first point comes after the steps that the recipe calls `log_every`.")
        return
    columns = st.columns(2, gap="medium")
    for number, (name, points) in enumerate(charts.items()):
        with columns[number % 2], st.container(border=True, key=f"card_curve_{number}"):
            st.markdown(f"**{measure_words(name)}**")
            level = CHANCE.get(name) if run.trainer == "train-syncnet" else None
            st.vega_lite_chart(points, curve_chart(points, level), height=CHART_HEIGHT, key=f"curve_{number}")


def chart_points(run: TrainingRun) -> dict[str, list[Point]]:
    """The points of every measured value, by its name. Values that are no finite numbers leave a gap."""
    charts: dict[str, list[Point]] = {}
    for label, rows in (("training", run.training), (HELD_OUT, run.validation)):
        for row in rows:
            for name in row.keys() - {"step", "seconds"}:
                value = row[name] if math.isfinite(row[name]) else math.nan
                charts.setdefault(name, []).append({"step": row["step"], "value": value, "curve": label})
    return {name: charts[name] for name in sorted(charts, key=_rank)}


def _rank(name: str) -> tuple[bool, bool, str]:
    """What is minimised comes first, what only the machine is judged by last."""
    return name not in MAIN_MEASURES, name == "waiting_seconds", name


def curve_chart(points: list[Point], level: float | None) -> dict[str, object]:
    """Give the Vega-Lite chart of points, with a dashed line at the level of chance, if there is one."""
    labels = sorted({str(point["curve"]) for point in points}, reverse=True)
    colours = {"training": TRAINING_COLOUR, HELD_OUT: HELD_OUT_COLOUR}
    scale = {"domain": labels, "range": [colours[label] for label in labels]}
    encoding = {
        "x": {"field": "step", "type": "quantitative", "title": "step"},
        "y": {"field": "value", "type": "quantitative", "title": None, "scale": {"zero": False}},
        "color": {"field": "curve", "type": "nominal", "scale": scale, "legend": {"orient": "top", "title": None}},
        "tooltip": [{"field": "step"}, {"field": "value", "format": ".4g"}, {"field": "curve"}],
    }
    line: dict[str, object] = {
        "mark": {"type": "line", "point": len(points) < 60, "strokeWidth": 2},
        "encoding": encoding,
    }
    if level is None:
        return {**line, "background": "transparent"}
    rule = {"mark": {"type": "rule", "strokeDash": [4, 4], "color": "grey"}, "encoding": {"y": {"datum": level}}}
    return {"layer": [line, rule], "background": "transparent"}


def _show_samples(run: TrainingRun) -> None:
    samples = run.samples[:MOST_SAMPLES]
    if not samples:
        return
    st.subheader("Samples")
    columns = st.columns(2, gap="medium")
    for number, path in enumerate(samples):
        with columns[number % 2], st.container(border=True, key=f"card_sample_{number}"):
            if path.suffix.lower() == ".mp4":
                st.video(path, muted=True, loop=True)
            else:
                st.image(path)
            st.caption(path.stem)


def _show_machine(run: TrainingRun) -> None:
    with st.container(border=True, key="card_machine"):
        st.markdown("**Machine**")
        facts = machine_facts(run)
        if facts:
            fact_grid(facts)
        else:
            st.caption("This run does not say where it ran: it is older than the file that tells.")


def machine_facts(run: TrainingRun) -> dict[str, str]:
    """Where and since when it trains, in the order in which the trainer wrote it."""
    machine = run.facts.get("machine")
    facts = {str(name): str(value) for name, value in machine.items()} if isinstance(machine, dict) else {}
    facts = {"GPU" if name == "gpu" else name.capitalize(): value for name, value in facts.items()}
    with suppress(ValueError):
        facts["Started"] = f"{datetime.fromisoformat(str(run.facts.get('started'))):%Y-%m-%d %H:%M} UTC"
    return facts


def _show_settings(run: TrainingRun) -> None:
    with st.expander("Settings", icon=":material/tune:"):
        path = run.folder / RECIPE
        if run.recipe:
            st.caption(f"{path}: the recipe with all that `--set` changed; `{ALARM}` and the weights lie beside it.")
            st.code(path.read_text(encoding="utf-8", errors="replace"), language="yaml")
        else:
            st.caption(f"{run.folder} holds no {RECIPE} that can be read: this run is older than it, or it is broken.")
