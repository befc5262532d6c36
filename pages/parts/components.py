"""Three small browser components of our own: a drop zone for files, two players side by side, a player of pieces.

They stand in the page itself (no iframe) and wear the theme's colours.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import streamlit as st

from pages.parts.places import ASSETS
from worker.job import InputFile
from worker.job_folder import UploadKind


@lru_cache
def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def _mount(name: str, css: str, key: str, data: dict[str, Any], on_uploaded: Callable[[], None] | None = None) -> None:
    """Put a component into the page. It is registered each time, as a server that was started anew knows none."""
    component = st.components.v2.component(
        f"lip_sync_{name}",
        html=_asset(f"{name}.html"),
        css=_asset(css),
        js=_asset(f"{name}.js"),
        isolate_styles=False,
    )
    component(key=key, data=data, on_uploaded_change=on_uploaded)


def file_drop(
    kind: UploadKind,
    draft_id: str,
    *,
    title: str,
    hint: str,
    accept: str,
    max_bytes: int,
    on_uploaded: Callable[[], None],
) -> None:
    """Draw a drop zone that puts one file into a draft; `on_uploaded` runs once it lies there.

    Args:
        kind: which of the draft's two files it becomes.
        draft_id: the draft.
        title: what is asked for.
        hint: formats and limits, in a smaller type.
        accept: the file input's accept attribute.
        max_bytes: larger files are refused before they are sent.
        on_uploaded: a Streamlit callback.
    """
    data = {
        "kind": kind,
        "url": f"files/{draft_id}/{kind}",
        "icon": "movie" if kind == "video" else "graphic_eq",
        "title": title,
        "hint": hint,
        "accept": accept,
        "max_bytes": max_bytes,
        "max_words": f"{max_bytes // 2**20} MB",
    }
    _mount("file_drop", "file_drop.css", key=f"drop_{kind}_{draft_id}", data=data, on_uploaded=on_uploaded)


def compare_player(job_id: str, video: InputFile) -> None:
    """Draw source and result of a finished job side by side, under one set of controls."""
    data = {
        "before_url": f"files/{job_id}/video",
        "before_is_picture": video.seconds is None,
        "after_url": f"files/{job_id}/result",
        "aspect": aspect(video),
    }
    _mount("compare_player", "player.css", key=f"compare_{job_id}", data=data)


def pieces_player(job_id: str, video: InputFile, count: int) -> None:
    """Draw a player of the `count` pieces of a running job that are finished."""
    data = {"url": f"files/{job_id}/segments", "count": count, "aspect": aspect(video)}
    _mount("pieces_player", "player.css", key=f"pieces_{job_id}", data=data)


def aspect(video: InputFile) -> float:
    """Give width over height, 1 while unknown."""
    return round(video.width / video.height, 4) if video.width and video.height else 1.0
