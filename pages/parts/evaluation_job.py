"""The Evaluation page's view of one finished video: figures, curves, and the moments to look at."""

from html import escape
from typing import Any

import streamlit as st

from latentsync_core.errors import LipSyncError
from latentsync_core.evaluation.measures import BY_KEY, measures_of
from latentsync_core.evaluation.moments import Moment, worst_moments
from latentsync_core.evaluation.results import read_results
from pages.parts.evaluation_charts import CHART_HEIGHT, mouth_chart, series_points, track_chart
from pages.parts.markup import empty_state, fact_grid, page_head
from pages.parts.owner import current_owner
from pages.parts.places import JOB
from pages.parts.service import queue
from worker.errors import JobNotFound, QueueUnavailable
from worker.evaluations import (
    EvaluationState,
    evaluation_error,
    evaluation_folder,
    evaluation_state,
    request_evaluation,
)
from worker.job import JobState, LipSyncJob

POLL_SECONDS = 2.0
MOMENT_SECONDS = 1.0  # shown around a moment
BACK = '<a class="ls-back" href="evaluation" target="_self"><span class="ls-glyph">arrow_back</span>All evaluations</a>'
NOTICE = "evaluation_notice"
TRACKS = {
    "flicker": "Flicker above the source, grey levels",
    "sharpness": "Sharpness of the mouth, 1 = source",
    "seam": "Visible seam, grey levels per pixel",
}
JUDGES = {"sync_confidence": "SyncNet v2", "stable_confidence": "StableSyncNet"}


def show_job_evaluation(job_id: str) -> None:
    """Draw the view of one job."""
    st.html(BACK)
    try:
        job = queue().read(job_id)
    except JobNotFound:
        empty_state("This video is not here", "The link is wrong, or the video was deleted.", icon="monitoring")
        return
    page_head(job.video.name, f"with {job.audio.name}", job.state)
    st.page_link(JOB, label="The video itself", icon=":material/movie:", query_params={"id": job.id})
    if job.state is not JobState.FINISHED:
        st.info("Only a finished video can be evaluated.", icon=":material/info:")
        return
    state = evaluation_state(queue(), job.id)
    if state in (EvaluationState.QUEUED, EvaluationState.RUNNING):
        st.fragment(_show_wait, run_every=POLL_SECONDS)(job.id)
        return
    folder = queue().folder(job.id)
    if why := evaluation_error(folder):
        st.error(f"**The evaluation did not work.** {why}", icon=":material/error:")
    results = read_results(evaluation_folder(folder))
    if results is None or not results["pairs"]:
        _offer(job, "Evaluate this video", "Mouth, sound and picture are measured frame by frame by the worker.")
        return
    _show_results(job, results)
    _offer(job, "Evaluate again", "After weights were added, or with a new version.")


def _offer(job: LipSyncJob, label: str, about: str) -> None:
    if notice := st.session_state.pop(NOTICE, None):
        st.error(notice, icon=":material/error:")
    if job.owner != current_owner():
        st.caption("Only the browser that made this video can have it evaluated.")
        return
    if not queue().workers():
        st.caption("No worker is running at the moment; the evaluation starts when one is back.")
    st.button(label, icon=":material/monitoring:", on_click=_request, args=[job.id], key="evaluate")
    st.caption(about)


def _request(job_id: str) -> None:
    try:
        request_evaluation(queue(), job_id, current_owner())
    except LipSyncError as error:
        st.session_state[NOTICE] = str(error)


def _show_wait(job_id: str) -> None:
    try:
        state = evaluation_state(queue(), job_id)
    except QueueUnavailable:
        st.warning("The queue does not answer at the moment. This page tries again by itself.", icon=":material/sync:")
        return
    except JobNotFound:
        st.rerun()
    if state is EvaluationState.RUNNING:
        st.info("This video is being evaluated; it takes about as long as making it.", icon=":material/hourglass_top:")
    elif state is EvaluationState.QUEUED:
        st.info("The evaluation waits for the worker to be free.", icon=":material/schedule:")
    else:
        st.rerun()


def _show_results(job: LipSyncJob, results: dict[str, Any]) -> None:
    pair = results["pairs"][0]
    if pair["problem"]:
        st.error(pair["problem"], icon=":material/error:")
        return
    series = pair["series"]
    with st.container(border=True, key="card_scores"):
        fact_grid(score_facts(pair))
        st.caption(f"The first {pair['frames'] / 25:.1f} s at 25 fps, measured {results['date']}.")
    with st.container(border=True, key="card_mouth"):
        st.markdown("**Mouth opening against the sound**")
        st.vega_lite_chart(series_points(series), mouth_chart(), height=CHART_HEIGHT, key="chart_mouth")
    with st.container(border=True, key="card_sync"):
        st.markdown("**Sync confidence over time**")
        found = {name: words for name, words in JUDGES.items() if name in series}
        points = series_points(series)
        for name, words in found.items():
            st.vega_lite_chart(points, track_chart(name, words), height=CHART_HEIGHT, key=f"chart_{name}")
        for name, words in JUDGES.items():
            if name not in found:
                st.caption(f"{words}: {results['missing'].get(name, 'the video is too short for it')}")
    columns = st.columns(len(TRACKS), gap="medium")
    for column, (name, words) in zip(columns, TRACKS.items(), strict=True):
        if name in series:
            with column, st.container(border=True, key=f"card_{name}"):
                st.markdown(f"**{words}**")
                points = series_points(series)
                st.vega_lite_chart(points, track_chart(name, ""), height=CHART_HEIGHT, key=f"chart_{name}")
    _show_moments(job, worst_moments(series))
    not_computed = sorted(set(results["missing"].values()))
    if not_computed:
        with st.expander("Not computed", icon=":material/info:"):
            for why in not_computed:
                titles = ", ".join(BY_KEY[key].title for key, words in results["missing"].items() if words == why)
                st.markdown(f"{titles}: {why}")


def score_facts(pair: dict[str, Any]) -> dict[str, str]:
    """A result's figures by their titles, in the order of the tables."""
    return {
        measure.title + measure.arrow: f"{pair['scores'][measure.key]:.{measure.digits}f}"
        for measure in measures_of(pair["mode"])
        if measure.key in pair["scores"]
    }


def _show_moments(job: LipSyncJob, moments: list[Moment]) -> None:
    st.subheader("Moments to look at")
    if not moments:
        st.caption("No moment stands out from the rest.")
    for number, moment in enumerate(moments):
        with st.container(border=True, key=f"card_moment_{number}"):
            what = f"{moment.what}, {moment.value:.3g} (usually {moment.usual:.3g})"
            st.markdown(f"**{moment.seconds:.2f} s**: {what}")
            left, right = st.columns(2, gap="medium")
            left.html(moment_player(f"files/{job.id}/video", moment.seconds, "Source", job.video.seconds is None))
            right.html(moment_player(f"files/{job.id}/result", moment.seconds, "Result", False))


def moment_player(url: str, seconds: float, words: str, is_picture: bool) -> str:
    """Give the HTML of a player that shows one second around a moment."""
    if is_picture:
        return f'<div class="ls-media"><img src="{escape(url)}" alt="{escape(words)}"></div><p>{escape(words)}</p>'
    start = max(0.0, seconds - MOMENT_SECONDS / 2)
    place = f"{url}#t={start:.2f},{start + MOMENT_SECONDS:.2f}"
    return (
        f'<div class="ls-media"><video controls playsinline preload="metadata" src="{escape(place)}"></video></div>'
        f'<p class="ls-facts">{escape(words)}</p>'
    )
