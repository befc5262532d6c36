"""The Evaluation page's list: this browser's finished videos, and the tables on the disk."""

from datetime import UTC, datetime
from html import escape
from typing import Any
from urllib.parse import quote

import streamlit as st

from latentsync_core.evaluation.results import find_evaluations
from pages.parts.markup import empty_state, page_head
from pages.parts.owner import current_owner
from pages.parts.service import queue, settings
from pages.parts.words import age_words
from worker.errors import JobNotFound
from worker.evaluations import EvaluationState, evaluation_state
from worker.job import JobState

STATE_WORDS = {
    EvaluationState.NONE: "not evaluated",
    EvaluationState.QUEUED: "waiting",
    EvaluationState.RUNNING: "is being evaluated",
    EvaluationState.FAILED: "did not work",
    EvaluationState.DONE: "evaluated",
}
EXAMPLE = "python -m latentsync_core evaluate talking_faces_val evaluations/mini --generate mini"


def show_evaluations() -> None:
    """Draw the page without a choice."""
    page_head("Evaluation", "How well do the lips follow the sound, and does the picture stay whole?")
    st.subheader("Your videos")
    jobs = [job for job in queue().jobs_of(current_owner()) if job.state is JobState.FINISHED]
    rows = []
    for job in jobs:
        try:
            words = STATE_WORDS[evaluation_state(queue(), job.id)]
        except JobNotFound:  # deleted meanwhile
            continue
        age = age_words(job.created_at, datetime.now(UTC))
        rows.append([_way(f"job={job.id}", job.video.name, f"with {job.audio.name} · {age}"), escape(words)])
    if rows:
        _draw(["Video", "Evaluation"], rows, "card_jobs")
    else:
        empty_state("No finished videos yet", "A video that you made can be evaluated here.", icon="monitoring")
    st.subheader("Tables")
    tables = find_evaluations(settings().evaluations_dir)
    if tables:
        rows = [_table_row(name, results) for name, results in tables.items()]
        _draw(["Table", "Rows", "Videos"], rows, "card_tables")
    else:
        st.caption(f"None in {settings().evaluations_dir.resolve()} (LIPSYNC_EVALUATIONS_DIR). To make one:")
        st.code(EXAMPLE, language=None, wrap_lines=True)


def _table_row(name: str, results: dict[str, Any]) -> list[str]:
    systems = {system: None for table in results["tables"].values() for system in table}
    about = f"{results['title']} · {results['date']}"
    return [_way(f"table={quote(name, safe='')}", name, about), escape(", ".join(systems)), str(len(results["pairs"]))]


def _way(query: str, name: str, about: str) -> str:
    return f'<a href="evaluation?{query}" target="_self">{escape(name)}</a><small>{escape(about)}</small>'


def _draw(head: list[str], rows: list[list[str]], key: str) -> None:
    with st.container(border=True, key=key):
        st.html(html_table(head, rows))


def html_table(head: list[str], rows: list[list[str]]) -> str:
    """Give the HTML of a table; the cells are HTML already."""
    names = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="ls-table"><table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table></div>'
