"""Training: the runs of the trainers, as their folders tell them; one of them at its own address."""

import streamlit as st

from pages.parts.run_list import show_runs
from pages.parts.run_view import show_run

name = st.query_params.get("run")
if name:
    show_run(name)
else:
    show_runs()
