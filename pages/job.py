"""Video: one job at its own address, from waiting to the finished result."""

from pages.parts.job_view import show_job

show_job()
