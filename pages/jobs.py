"""My videos: everything this browser has started."""

from datetime import UTC, datetime
from html import escape

import streamlit as st

from pages.parts.markup import empty_state, page_head, progress_bar, state_badge
from pages.parts.owner import current_owner
from pages.parts.places import JOB, NEW_VIDEO
from pages.parts.service import queue, settings
from pages.parts.words import age_words, duration_words
from worker.errors import QueueUnavailable
from worker.job import JobState, LipSyncJob

POLL_SECONDS = 2.0


def show_row(job: LipSyncJob) -> None:
    """Draw one job: its picture, what it is, how far it is, and the way to it."""
    with st.container(border=True, key=f"card_{job.id}"):
        picture, text, way = st.columns([1.1, 4, 0.8], gap="medium", vertical_alignment="center")
        picture.html(f'<span class="ls-thumb"><img src="files/{job.id}/thumbnail" alt="" loading="lazy"></span>')
        age = age_words(job.created_at, datetime.now(UTC))
        sub = f"with {job.audio.name} · {age}"
        if job.state is JobState.FINISHED:
            sub += f" · took {duration_words(job.seconds_running)}"
        lines = f'<p class="ls-row-title">{escape(job.video.name)}</p><p class="ls-row-sub">{escape(sub)}</p>'
        lines += progress_bar(job) if job.state is JobState.RUNNING else state_badge(job.state)
        text.html(lines)
        way.page_link(JOB, label="Open", icon=":material/arrow_forward:", query_params={"id": job.id})


def show_list() -> None:
    """Draw the list, or what to do when there is nothing in it."""
    try:
        jobs = queue().jobs_of(current_owner())
    except QueueUnavailable:
        st.warning("The queue does not answer at the moment. This page tries again by itself.", icon=":material/sync:")
        return
    if not jobs:
        empty_state("No videos yet", "Start with a video and some speech of your own, or try it with our sample.")
        with st.container(horizontal=True, horizontal_alignment="center"):
            if st.button("Make a video", type="primary", icon=":material/add:"):
                st.switch_page(NEW_VIDEO)
    for job in jobs:
        show_row(job)


days = f"{settings().retention_days:.3g}"
page_head("My videos", f"What you made in this browser. Finished videos are kept for {days} days.")
st.fragment(show_list, run_every=POLL_SECONDS)()
