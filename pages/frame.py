"""The frame around every page, run for every visitor: set-up, theme, logo, navigation, footer.

It lies here and not in app.py because a folder `pages` beside the script that Streamlit runs means something else to
Streamlit: the first visitor of a deep link would get that file alone, without this frame.
"""

import streamlit as st

from pages.parts.places import ABOUT, ASSETS, EVALUATION, JOB, JOBS, NEW_VIDEO, TRAINING

st.set_page_config(
    page_title="Lip-sync studio",
    page_icon=str(ASSETS / "icon.svg"),
    layout="wide",
    initial_sidebar_state="collapsed",
)
st.html(ASSETS / "page.css")
st.logo(str(ASSETS / "icon.svg"), size="large")
page = st.navigation(
    [
        st.Page(NEW_VIDEO, title="New video", icon=":material/add_circle:", url_path="new", default=True),
        st.Page(JOBS, title="My videos", icon=":material/video_library:", url_path="jobs"),
        st.Page(JOB, title="Video", icon=":material/movie:", url_path="job", visibility="hidden"),
        st.Page(EVALUATION, title="Evaluation", icon=":material/monitoring:", url_path="evaluation"),
        st.Page(TRAINING, title="Training", icon=":material/model_training:", url_path="training"),
        st.Page(ABOUT, title="About", icon=":material/info:", url_path="about"),
    ],
    position="top",
)
page.run()
st.html(
    '<footer class="ls-footer">Lip-sync studio · Videos made here are synthetic. Say so when you show them.</footer>'
)
