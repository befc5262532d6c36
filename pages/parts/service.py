"""The page's one way to the queue, and what it says when something goes wrong."""

import logging
from functools import lru_cache
from pathlib import Path

import streamlit as st

from latentsync_core.errors import LipSyncError
from worker.errors import QueueUnavailable
from worker.job import InputFile
from worker.job_folder import JobFolder, UploadKind
from worker.job_queue import JobQueue
from worker.settings import Settings

logger = logging.getLogger(__name__)


@lru_cache(maxsize=1)
def settings() -> Settings:
    """Give the deployment's settings, read once per process."""
    return Settings()


@lru_cache(maxsize=1)
def queue() -> JobQueue:
    """Give the deployment's queue, shared by all visitors of this process."""
    return JobQueue(settings())


@lru_cache(maxsize=1024)
def playable_file(job_id: str, kind: UploadKind, facts: InputFile) -> Path | None:
    """Give a form of an input that every browser plays; remembered, as each look at a file costs a process.

    Args:
        job_id: the job or draft.
        kind: which of its inputs.
        facts: what is known of it; another upload has other facts.

    Raises:
        UnreadableMedia: if the input cannot be decoded.
    """
    return JobFolder(job_id, settings()).preview(kind)


def show_unexpected_error(error: Exception) -> bool:
    """Say in plain words that a page could not be drawn; the details go to the log.

    Returns:
        True: Streamlit shall not show its own error box.
    """
    if isinstance(error, QueueUnavailable):
        logger.error("The queue cannot be reached: %s", error)
        st.error(
            "**The studio is not ready yet.** Its queue does not answer. Your videos are safe; "
            "please try again in a minute.",
            icon=":material/cloud_off:",
        )
    elif isinstance(error, LipSyncError):
        logger.warning("Refused: %s", error)
        st.error(str(error), icon=":material/error:")
    else:
        logger.error("A page failed", exc_info=error)
        st.error(
            "**Something went wrong on our side.** It has been noted in the log. Please reload the page; "
            "your videos are safe.",
            icon=":material/error:",
        )
    if st.button("Try again", icon=":material/refresh:", key="try_again_after_error"):
        st.rerun()
    return True
