"""Where the pages and what they are drawn with lie."""

from pathlib import Path

PAGES = Path(__file__).parent.parent
REPOSITORY = PAGES.parent
ASSETS = PAGES / "parts" / "assets"

NEW_VIDEO = PAGES / "new_video.py"
JOBS = PAGES / "jobs.py"
JOB = PAGES / "job.py"
TRAINING = PAGES / "training.py"
EVALUATION = PAGES / "evaluation.py"
ABOUT = PAGES / "about.py"
