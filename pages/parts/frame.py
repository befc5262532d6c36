"""The frame around every page: title, theme, logo, navigation, footer."""

from pathlib import Path

import streamlit as st

ASSETS = Path(__file__).parent / "assets"
PAGES = Path(__file__).parent.parent
REPOSITORY = PAGES.parent

NEW_VIDEO = st.Page(
    PAGES / "new_video.py", title="New video", icon=":material/add_circle:", url_path="new", default=True
)
JOBS = st.Page(PAGES / "jobs.py", title="My videos", icon=":material/video_library:", url_path="jobs")
JOB = st.Page(PAGES / "job.py", title="Video", icon=":material/movie:", url_path="job", visibility="hidden")
ABOUT = st.Page(PAGES / "about.py", title="About", icon=":material/info:", url_path="about")


def show_page() -> None:
    """Set the page up and run the one that the URL names."""
    st.set_page_config(
        page_title="Lip-sync studio",
        page_icon=str(ASSETS / "icon.svg"),
        layout="wide",
        initial_sidebar_state="collapsed",
    )
    st.html(ASSETS / "page.css")
    st.logo(str(ASSETS / "icon.svg"), size="large")
    page = st.navigation([NEW_VIDEO, JOBS, JOB, ABOUT], position="top")
    page.run()
    st.html(
        '<footer class="ls-footer">Lip-sync studio · Videos made here are synthetic. '
        "Say so when you show them.</footer>"
    )
