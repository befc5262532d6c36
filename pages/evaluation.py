"""Evaluation: how good a finished video is, and tables of systems on a benchmark."""

import streamlit as st

from pages.parts.evaluation_job import show_job_evaluation
from pages.parts.evaluation_list import show_evaluations
from pages.parts.evaluation_table import show_table

job, table = st.query_params.get("job"), st.query_params.get("table")
if job:
    show_job_evaluation(job)
elif table:
    show_table(table)
else:
    show_evaluations()
