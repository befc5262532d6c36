"""Small pieces of HTML that Streamlit has no widget for. Every text that comes from outside is escaped here."""

from html import escape

import streamlit as st

from pages.parts.words import STAGE_WORDS, duration_words, time_left_words
from worker.job import InputFile, JobState, LipSyncJob

STATE_WORDS: dict[JobState, str] = {
    JobState.QUEUED: "Waiting",
    JobState.RUNNING: "Working",
    JobState.FINISHED: "Ready",
    JobState.FAILED: "Failed",
    JobState.CANCELLED: "Cancelled",
}


def page_head(title: str, subtitle: str, state: JobState | None = None) -> None:
    """Draw a page's title, the line below it, and a job's state."""
    badge = f'<p style="opacity:1">{state_badge(state)}</p>' if state else ""
    st.html(f'<div class="ls-head"><h1>{escape(title)}</h1><p>{escape(subtitle)}</p>{badge}</div>')


def card_title(step: int, title: str) -> None:
    """Draw the numbered title of a card."""
    st.html(f'<p class="ls-card-title"><span class="ls-step">{step}</span>{escape(title)}</p>')


def state_badge(state: JobState) -> str:
    """Give the HTML of a job's state as a coloured badge."""
    return f'<span class="ls-badge ls-badge-{state.value}">{STATE_WORDS[state]}</span>'


def empty_state(title: str, text: str, icon: str = "movie") -> None:
    """Draw a picture and two lines in place of what is not there."""
    picture = f'<span class="ls-icon" aria-hidden="true">{icon}</span>'
    st.html(f'<div class="ls-empty">{picture}<h2>{escape(title)}</h2><p>{escape(text)}</p></div>')


def input_preview(job_id: str, kind: str, facts: InputFile) -> None:
    """Draw a player (or the picture) of one of a job's inputs, with its name and facts below."""
    # The size stands in the address so that a replaced file is not taken from the browser's cache.
    url = f"files/{job_id}/{kind}?size={facts.size}"
    if kind == "audio":
        media = f'<div class="ls-media ls-media-sound"><audio controls preload="metadata" src="{url}"></audio></div>'
    elif facts.seconds is None:
        media = f'<div class="ls-media"><img src="{url}" alt="The picture you chose"></div>'
    else:
        media = f'<div class="ls-media"><video controls playsinline muted preload="metadata" src="{url}"></video></div>'
    line = duration_words(facts.seconds or 0) if kind == "audio" else facts_line(facts)
    st.html(f'{media}<p class="ls-facts"><b>{escape(facts.name)}</b><br><span>{escape(line)}</span></p>')


def facts_line(facts: InputFile) -> str:
    """Say what an input is: "1920 × 1080 · 25 fps · 12 s"."""
    parts = []
    if facts.width and facts.height:
        parts.append(f"{facts.width} × {facts.height}")
        parts.append("picture" if facts.seconds is None else f"{facts.fps or 0:.4g} fps")
    if facts.seconds is not None:
        parts.append(duration_words(facts.seconds))
    return " · ".join(parts)


def progress_bar(job: LipSyncJob) -> str:
    """Give the HTML of a job's progress: what it does, how much is left, the bar."""
    progress = job.progress
    doing = "Stopping" if job.cancel_asked else STAGE_WORDS[progress.stage]
    if progress.frames_total and not job.cancel_asked:
        doing += f" · frame {progress.frames_done} of {progress.frames_total}"
    left = "" if job.cancel_asked else time_left_words(progress.seconds_left)
    percent = round(100 * progress.fraction)
    words = f"<b>{escape(doing)}</b><span>{escape(' · '.join(filter(None, [f'{percent} %', left])))}</span>"
    return (
        f'<div class="ls-progress-words">{words}</div><div class="ls-bar" role="progressbar" aria-valuemin="0" '
        f'aria-valuemax="100" aria-valuenow="{percent}"><div style="width:{percent}%"></div></div>'
    )


def fact_grid(facts: dict[str, str]) -> None:
    """Draw names and values in a grid that breaks with the page's width."""
    cells = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items())
    st.html(f'<dl class="ls-grid">{cells}</dl>')
