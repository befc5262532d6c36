"""The Training page's list: every run below the runs folder, in one table."""

from datetime import UTC, datetime
from html import escape
from urllib.parse import quote

import streamlit as st

from latentsync_core.training.runs import TrainingRun, find_runs
from pages.parts.markup import empty_state, page_head
from pages.parts.run_words import TRAINER_WORDS, last_losses, run_badge, speed_words, steps_words
from pages.parts.service import settings
from pages.parts.words import age_words, duration_words

POLL_SECONDS = 5.0
COLUMNS = ("Run", "State", "Steps", "Speed", "Last losses", "Trained for")
NOTHING = "–"
EXAMPLE = "python -m latentsync_core train-syncnet latentsync_core/training/recipes/mini_syncnet.yaml"


def show_runs() -> None:
    """Draw the page without a chosen run."""
    page_head("Training", f"The trainers' runs in {settings().runs_dir}/, the last changed first.")
    st.fragment(_show_table, run_every=POLL_SECONDS)()


def _show_table() -> None:
    runs = find_runs(settings().runs_dir)
    if not runs:
        empty_state(
            "No runs yet",
            f"A run shows here as soon as a trainer writes to {settings().runs_dir.resolve()}. "
            "Another folder is chosen with LIPSYNC_RUNS_DIR. To start one:",
            icon="model_training",
        )
        st.code(EXAMPLE, language=None, wrap_lines=True)
        return
    with st.container(border=True, key="card_runs"):
        st.html(runs_table(runs, datetime.now(UTC)))


def runs_table(runs: list[TrainingRun], now: datetime) -> str:
    """Give the HTML of the table; every name leads to the run's own view."""
    head = "".join(f'<th scope="col">{name}</th>' for name in COLUMNS)
    return (
        f'<div class="ls-table"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(_row(run, now) for run in runs)}</tbody></table></div>"
    )


def _row(run: TrainingRun, now: datetime) -> str:
    way = f'<a href="training?run={quote(run.name, safe="")}" target="_self">{escape(run.name)}</a>'
    losses = [text if name == "Loss" else f"{name.lower()} {text}" for name, text in last_losses(run).items()]
    about = [TRAINER_WORDS[run.trainer], age_words(run.changed, now)]
    about += ["needs a look"] if run.alarm else []
    cells = [
        f"{way}<small>{escape(' · '.join(about))}</small>",
        run_badge(run.state),
        escape(steps_words(run)),
        escape(speed_words(run)),
        "<br>".join(map(escape, losses)),
        escape(duration_words(run.seconds)) if run.seconds else "",
    ]
    return f"<tr>{''.join(f'<td>{cell or NOTHING}</td>' for cell in cells)}</tr>"
