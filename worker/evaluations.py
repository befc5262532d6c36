"""Evaluations of finished jobs: asked for by their owners, run by a worker between jobs, kept in the job's folder.

There is no record of them: the line says whether one waits or runs, the folder `evaluation/` what came of it. A worker
that is stopped meanwhile drops it, and the page offers it again.
"""

import logging
import secrets
import subprocess
import sys
import time
from enum import StrEnum
from pathlib import Path

from worker.errors import NotTheOwner, WrongState
from worker.gpu_process import child_environment
from worker.job import JobState
from worker.job_folder import JobFolder
from worker.job_queue import JobQueue
from worker.job_store import told_in_words
from worker.settings import Settings
from worker.workbench import Workbench, current_workbench

logger = logging.getLogger("worker.evaluation")

POLL_SECONDS = 0.2
END_SECONDS = 5.0
TYPED_ERROR = "error: "  # before the words of the command line for a user
FAILED_WORDS = "Something went wrong on our side; the worker's log says more."
TIMEOUT_WORDS = "The evaluation took too long and was stopped."


class EvaluationState(StrEnum):
    """How far a job's evaluation is."""

    NONE = "none"
    QUEUED = "queued"
    RUNNING = "running"
    FAILED = "failed"
    DONE = "done"


def evaluation_folder(folder: JobFolder) -> Path:
    """Where results.json and the reports of a job's evaluation lie."""
    return folder.path / "evaluation"


def evaluation_error(folder: JobFolder) -> str:
    """Why the last evaluation failed, in words; "" if it did not."""
    path = evaluation_folder(folder) / "error.txt"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def evaluation_state(queue: JobQueue, job_id: str) -> EvaluationState:
    """Look in the line and in the folder.

    Raises:
        JobNotFound, QueueUnavailable.
    """
    folder = queue.folder(job_id)
    with told_in_words(queue.settings.redis_url):
        waiting, in_hand = queue.dispatch.waiting(), queue.dispatch.in_hand()
    entry = queue.dispatch.evaluation_id(job_id)
    if entry in waiting:
        return EvaluationState.QUEUED
    if entry in in_hand:
        return EvaluationState.RUNNING
    if (evaluation_folder(folder) / "results.json").is_file():
        return EvaluationState.DONE
    return EvaluationState.FAILED if evaluation_error(folder) else EvaluationState.NONE


def request_evaluation(queue: JobQueue, job_id: str, owner: str) -> None:
    """Put a finished job's evaluation in line; nothing happens if it is there.

    Raises:
        JobNotFound, QueueUnavailable.
        NotTheOwner: if someone else made the job.
        WrongState: if it is not finished.
    """
    job = queue.read(job_id)
    if not secrets.compare_digest(job.owner.encode(), owner.encode()):
        raise NotTheOwner
    if job.state is not JobState.FINISHED:
        raise WrongState(f"This job is {job.state}; only a finished one can be evaluated.")
    if evaluation_state(queue, job_id) in (EvaluationState.QUEUED, EvaluationState.RUNNING):
        return
    with told_in_words(queue.settings.redis_url):
        queue.dispatch.enqueue_evaluation(job_id)


def run_evaluation(job_id: str) -> None:
    """Evaluate one finished job in a process of its own. RQ calls this by name."""
    bench = current_workbench.get()
    folder = JobFolder(job_id, bench.settings)
    if not folder.result.is_file():
        logger.info("nothing to evaluate: %s is gone", job_id)
        return
    out = evaluation_folder(folder)
    out.mkdir(exist_ok=True)
    (out / "error.txt").unlink(missing_ok=True)
    with (out / "log.txt").open("wb") as log:
        child = subprocess.Popen(
            evaluation_command(folder, bench.settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
            env=child_environment(),
        )
        why = _see_through(child, bench)
    if why and out.is_dir():
        last = (out / "log.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        logger.warning("the evaluation of %s failed: %s", job_id, " ".join(last) or why)
        is_for_users = bool(last) and last[0].startswith(TYPED_ERROR)
        (out / "error.txt").write_text(last[0].removeprefix(TYPED_ERROR) if is_for_users else why, encoding="utf-8")


def evaluation_command(folder: JobFolder, settings: Settings) -> list[str]:
    """The command line that evaluates a job's folder."""
    command = [sys.executable, "-m", "latentsync_core", "evaluate", str(folder.path), str(evaluation_folder(folder))]
    return [*command, "--weights", str(settings.evaluation_weights), "--seconds", f"{settings.evaluation_seconds:g}"]


def _see_through(child: "subprocess.Popen[bytes]", bench: Workbench) -> str:
    """Wait for the child's end with signs of life; gives why it failed, "" if it did not."""
    deadline = time.monotonic() + bench.settings.evaluation_timeout
    while child.poll() is None:
        bench.beat()
        if bench.is_stopping() or time.monotonic() > deadline:
            child.terminate()
            try:
                child.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            return "" if bench.is_stopping() else TIMEOUT_WORDS
        time.sleep(POLL_SECONDS)
    return "" if child.returncode == 0 else FAILED_WORDS
