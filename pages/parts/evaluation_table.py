"""The Evaluation page's view of a table: the figures, and the videos behind each of them."""

from html import escape
from pathlib import Path
from typing import Any

import streamlit as st

from latentsync_core.evaluation.measures import BY_KEY, MODE_WORDS, PAIR_MEASURES
from latentsync_core.evaluation.results import find_evaluations
from latentsync_core.evaluation.tables import Table, comparison_tables, mode_tables, notes, paper_table
from pages.parts.evaluation_job import BACK
from pages.parts.evaluation_list import html_table
from pages.parts.markup import empty_state, page_head
from pages.parts.service import settings

MOST_COLUMNS = 4


def show_table(name: str) -> None:
    """Draw the view of the evaluation of this name."""
    st.html(BACK)
    results = find_evaluations(settings().evaluations_dir).get(name)  # no address leads anywhere else
    if results is None:
        where = settings().evaluations_dir
        empty_state("This table is not here", f"Its folder in {where} was moved or deleted.", icon="monitoring")
        return
    page_head(results["title"], " · ".join(filter(None, [results["about"], results["date"]])))
    if results["kind"] == "table":
        _draw(paper_table(results), "paper")
    for number, table in enumerate(mode_tables(results)):
        _draw(table, f"mode_{number}")
    _show_videos(results)
    comparisons = comparison_tables(results)
    if comparisons:
        with st.expander("Compared pair by pair", icon=":material/compare_arrows:"):
            for number, table in enumerate(comparisons):
                _draw(table, f"comparison_{number}")
    with st.expander("How this was measured", icon=":material/info:"):
        st.markdown("\n".join(f"- {line}" for line in notes(results)))
        st.code(results["command"], language=None, wrap_lines=True)


def _draw(table: Table, key: str) -> None:
    title, head, rows = table
    with st.container(border=True, key=f"card_{key}"):
        st.markdown(f"**{title}**")
        st.html(html_table(head, [[escape(cell) for cell in row] for row in rows]))


def _show_videos(results: dict[str, Any]) -> None:
    """Draw the choice of a figure, its pairs from the worst on, and the videos of one pair."""
    st.subheader("The videos behind a figure")
    modes = list(results["tables"])
    left, right, further = st.columns(3, gap="medium")
    mode = left.selectbox("Task", modes, format_func=MODE_WORDS.__getitem__, key="mode")
    scored = [pair for pair in results["pairs"] if pair["mode"] == mode]
    there = {key for pair in scored for key in pair["scores"]}
    keys = [measure.key for measure in PAIR_MEASURES if measure.key in there]
    key = right.selectbox("Figure", keys, format_func=lambda key: BY_KEY[key].title, key="figure")
    systems = list(dict.fromkeys(pair["system"] for pair in scored))
    methods = [system for system in systems if system not in results["baselines"]] or systems
    system = further.selectbox("Of", methods, key="system")
    if mode is None or key is None or system is None:
        return
    ranked = ranked_pairs(scored, system, key)
    if not ranked:
        st.caption("No pair has this figure.")
        return
    digits = BY_KEY[key].digits
    words = {pair["name"]: f"{pair['name']} ({pair['scores'][key]:.{digits}f})" for pair in ranked}
    choice = f"pair_{mode}_{key}_{system}"  # another figure begins with its own worst pair
    name = st.selectbox("Pair, the worst first", list(words), format_func=words.__getitem__, key=choice)
    shown = [pair for pair in scored if pair["name"] == name]
    columns = st.columns(min(MOST_COLUMNS, len(shown)), gap="medium")
    for number, pair in enumerate(shown):
        with columns[number % len(columns)], st.container(border=True, key=f"card_video_{number}"):
            value = pair["scores"].get(key)
            figure = "–" if value is None else f"{value:.{digits}f}"
            st.markdown(f"**{pair['system']}**: {figure}")
            if pair["problem"]:
                st.caption(pair["problem"])
            if pair["result"] and Path(pair["result"]).is_file():
                st.video(pair["result"])
            elif pair["result"]:
                st.caption("Its video is not on this machine any more.")


def ranked_pairs(pairs: list[dict[str, Any]], system: str, key: str) -> list[dict[str, Any]]:
    """A system's pairs that have a figure, the worst first."""
    found = [pair for pair in pairs if pair["system"] == system and key in pair["scores"]]
    return sorted(found, key=lambda pair: pair["scores"][key], reverse=BY_KEY[key].better == "lower")
