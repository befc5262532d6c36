"""The Video page: one job, live while it runs, with players and download when it is ready."""

import json
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from latentsync_core.errors import LipSyncError
from pages.parts.components import compare_player, pieces_player
from pages.parts.markup import empty_state, fact_grid, input_preview, page_head, progress_bar
from pages.parts.owner import current_owner
from pages.parts.places import EVALUATION, JOBS, NEW_VIDEO
from pages.parts.service import queue, settings
from pages.parts.words import age_words, duration_words, size_words
from worker.errors import JobNotFound, QueueUnavailable
from worker.job import JobState, LipSyncJob

POLL_SECONDS = 1.0
LOG_LINES = 40
NOTICE = "notice"  # in the session: what the page has to say once, after a refused click


def show_job() -> None:
    """Draw the page of the job that the address names."""
    try:
        job = queue().read(st.query_params.get("id", ""))
    except JobNotFound:
        _show_missing()
        return
    age = age_words(job.created_at, datetime.now(UTC))
    page_head(job.video.name, f"with {job.audio.name} · started {age}", job.state)
    is_mine = job.owner == current_owner()
    if job.state is JobState.FINISHED:
        compare_player(job.id, job.video)
        _show_actions(job, is_mine)
        _show_report(job)
    elif job.state.is_over:
        _show_why_stopped(job)
        _show_actions(job, is_mine)
        _show_inputs_and_pieces(job)
    else:
        _show_live(job.id, is_mine)
        _show_actions(job, is_mine)


def _show_missing() -> None:
    empty_state(
        "This video is not here",
        f"The link is wrong, the video was deleted, or it is older than {settings().retention_days:.3g} days.",
    )
    with st.container(horizontal=True, horizontal_alignment="center"):
        if st.button("My videos", icon=":material/video_library:"):
            st.switch_page(JOBS)
        if st.button("Make a video", type="primary", icon=":material/add:"):
            st.switch_page(NEW_VIDEO)


# --- while it runs ----------------------------------------------------------------------------------------------


@st.fragment(run_every=POLL_SECONDS)
def _show_live(job_id: str, is_mine: bool) -> None:
    """Draw what changes every second; the whole page is drawn anew once the job is over."""
    try:
        job = queue().read(job_id)
    except QueueUnavailable:
        st.warning("The queue does not answer at the moment. This page tries again by itself.", icon=":material/sync:")
        return
    except JobNotFound:
        st.rerun()
    if job.state.is_over:
        st.rerun()
    with st.container(border=True, key="card_progress"):
        if job.state is JobState.QUEUED:
            _show_waiting(job)
        else:
            st.html(progress_bar(job))
        if is_mine:
            label = "Stopping …" if job.cancel_asked else "Cancel"
            if st.button(label, icon=":material/stop_circle:", disabled=job.cancel_asked, key="cancel"):
                queue().cancel(job.id, current_owner())
                st.rerun(scope="fragment")
    st.caption("You can close this page and come back: the address above leads here again.")
    _show_inputs_and_pieces(job)


def _show_waiting(job: LipSyncJob) -> None:
    before = queue().position(job.id)
    if not queue().workers():
        st.markdown("**Waiting for a worker.** None is running at the moment; your video starts when one is back.")
    elif before:
        st.markdown(f"**Waiting.** {before} {'video is' if before == 1 else 'videos are'} before yours.")
    else:
        st.markdown("**Waiting.** Yours is next.")


def _show_inputs_and_pieces(job: LipSyncJob) -> None:
    left, right = st.columns(2, gap="medium")
    with left:
        if job.progress.segments_done:
            pieces_player(job.id, job.video, job.progress.segments_done)
        else:
            input_preview(job.id, "video", job.video)
    with right:
        input_preview(job.id, "audio", job.audio)
        _show_log(job.id)


# --- when it is over --------------------------------------------------------------------------------------------


def _show_report(job: LipSyncJob) -> None:
    for warning in job.warnings:
        st.info(warning, icon=":material/info:")
    folder = queue().folder(job.id)
    report = _read_report(job)
    with st.container(border=True, key="card_facts"):
        fact_grid(report_facts(job, report, folder.result.stat().st_size if folder.result.is_file() else 0))
    _show_log(job.id)


def _read_report(job: LipSyncJob) -> dict[str, Any]:
    path = queue().folder(job.id).report
    if not path.is_file():
        return {}
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return report


def report_facts(job: LipSyncJob, report: dict[str, Any], result_bytes: int) -> dict[str, str]:
    """Choose from a run's report what people ask for, in their words."""
    facts = {}
    if report.get("frames"):
        seconds = report["frames"] / report["fps"]
        facts["Length"] = f"{duration_words(seconds)} ({report['frames']} frames)"
        facts["Picture"] = f"{report['width']} × {report['height']}, {report['fps']:.4g} fps"
        facts["Frames with a face"] = f"{report['frames_with_face']} of {report['frames']}"
        facts["Steps"] = str(report["steps"])
        facts["Strength of the speech"] = f"{report['guidance']:.3g}"
        facts["Seed"] = str(report["seed"])
    facts["Model"] = job.model
    facts["Made in"] = duration_words(job.seconds_running)
    if report.get("device"):
        facts["Made on"] = str(report["device"])
    if result_bytes:
        facts["File"] = size_words(result_bytes)
    return facts


def _show_why_stopped(job: LipSyncJob) -> None:
    if job.state is JobState.FAILED:
        message = job.message or "Something went wrong on our side; the log below says more."
        st.error(f"**This did not work.** {message}", icon=":material/error:")
    else:
        st.info("This video was cancelled. What was finished is kept if you try again.", icon=":material/stop_circle:")


# --- what one can do --------------------------------------------------------------------------------------------


def _show_actions(job: LipSyncJob, is_mine: bool) -> None:
    if notice := st.session_state.pop(NOTICE, None):
        st.error(notice, icon=":material/error:")
    with st.container(horizontal=True, vertical_alignment="center"):
        if job.state is JobState.FINISHED:
            st.html(
                f'<a class="ls-download" href="files/{job.id}/download" download target="_self">'
                '<span class="ls-glyph" aria-hidden="true">download</span>Download the video</a>',
                width="content",
            )
        if is_mine and job.state in (JobState.FAILED, JobState.CANCELLED):
            st.button(
                "Try again", type="primary", icon=":material/refresh:", on_click=_retry, args=[job.id], key="retry"
            )
        if job.state is JobState.FINISHED:
            st.page_link(EVALUATION, label="Evaluation", icon=":material/monitoring:", query_params={"job": job.id})
        with st.popover("Copy link", icon=":material/link:"):
            st.caption("Whoever has this link can watch this video; only you can change or delete it.")
            st.code(job_link(job.id), language=None, wrap_lines=True)
        if is_mine and job.state.is_over:
            with st.popover("Delete", icon=":material/delete:"):
                st.markdown("Delete this video and its files for good?")
                if st.button("Yes, delete it", type="primary", key="delete"):
                    queue().delete(job.id, current_owner())
                    st.switch_page(JOBS)
        if job.state.is_over and st.button("New video", icon=":material/add:", key="another"):
            st.switch_page(NEW_VIDEO)
    if not is_mine:
        st.caption("You are watching a video that was started in another browser; it can be changed only there.")


def job_link(job_id: str) -> str:
    """Give the full address of a job's page."""
    address = (st.context.url or "").split("?")[0].rstrip("/")
    return f"{address}?id={job_id}"


def _retry(job_id: str) -> None:
    try:
        queue().retry(job_id, current_owner())
    except LipSyncError as error:
        st.session_state[NOTICE] = str(error)


def _show_log(job_id: str) -> None:
    with st.expander("Log", icon=":material/receipt_long:"):
        lines = queue().log_tail(job_id, LOG_LINES)
        text = "\n".join(f"{line.time:%H:%M:%S}  {line.level:<7} {line.message}" for line in lines)
        st.code(text or "Nothing yet.", language=None, wrap_lines=True)
