"""Evaluations of finished jobs: who may ask, how far one is, what a worker leaves in the folder."""

import sys
from types import SimpleNamespace

import pytest

from tests.worker.conftest import OWNER
from tests.worker.scripted_pipeline import Script
from worker import evaluations
from worker.errors import NotTheOwner, WrongState
from worker.evaluations import (
    EvaluationState,
    evaluation_command,
    evaluation_error,
    evaluation_folder,
    evaluation_state,
    request_evaluation,
    run_evaluation,
)
from worker.job import JobState
from worker.workbench import current_workbench


@pytest.fixture
def finished(queue, submit):
    """A job that is finished, without a worker having run it."""
    job = submit(queue, Script())
    queue.dispatch.withdraw(job)
    queue.store.change(job.id, lambda old: old.model_copy(update={"state": JobState.FINISHED}))
    queue.folder(job.id).result.write_bytes(b"mp4")
    return job


@pytest.fixture
def run(queue, monkeypatch):
    """Give a function that does what a worker does, with a program of ours in place of `evaluate`."""
    beats = []

    def start(job, program: str, stopping: bool = False, **changes):
        settings = queue.settings.model_copy(update=changes)
        monkeypatch.setattr(evaluations, "evaluation_command", lambda folder, settings: [sys.executable, "-c", program])
        bench = SimpleNamespace(settings=settings, beat=lambda: beats.append(1), is_stopping=lambda: stopping)
        token = current_workbench.set(bench)
        try:
            run_evaluation(job.id)
        finally:
            current_workbench.reset(token)
        return len(beats)

    return start


def test_the_owner_of_a_finished_job_may_ask_and_once_is_enough(queue, finished):
    assert evaluation_state(queue, finished.id) is EvaluationState.NONE
    with pytest.raises(NotTheOwner):
        request_evaluation(queue, finished.id, "someone else")
    for _ in range(2):
        request_evaluation(queue, finished.id, OWNER)
    assert evaluation_state(queue, finished.id) is EvaluationState.QUEUED
    assert queue.dispatch.waiting() == [f"{finished.id}-evaluation"]


def test_a_job_that_is_not_finished_cannot_be_evaluated(queue, submit):
    job = submit(queue, Script())
    with pytest.raises(WrongState, match="only a finished one"):
        request_evaluation(queue, job.id, OWNER)


def test_what_a_worker_leaves_is_the_state(queue, finished, run):
    out = evaluation_folder(queue.folder(finished.id))
    assert run(finished, f"import time; time.sleep(0.3); open({str(out / 'results.json')!r}, 'w')") > 0
    assert evaluation_state(queue, finished.id) is EvaluationState.DONE


def test_a_typed_error_reaches_the_user_in_its_own_words(queue, finished, run):
    run(finished, "import sys; sys.stderr.write('noise\\nerror: No face was found.\\n'); sys.exit(2)")
    assert evaluation_state(queue, finished.id) is EvaluationState.FAILED
    assert evaluation_error(queue.folder(finished.id)) == "No face was found."


def test_another_error_is_said_in_ours(queue, finished, run):
    run(finished, "1 / 0")
    assert "on our side" in evaluation_error(queue.folder(finished.id))


def test_one_that_takes_too_long_is_ended(queue, finished, run):
    run(finished, "import time; time.sleep(60)", evaluation_timeout=0.5)
    assert "too long" in evaluation_error(queue.folder(finished.id))


def test_a_worker_that_stops_drops_it(queue, finished, run):
    run(finished, "import time; time.sleep(60)", stopping=True)
    assert evaluation_state(queue, finished.id) is EvaluationState.NONE


def test_the_command_is_that_of_the_library(queue, finished):
    folder = queue.folder(finished.id)
    command = evaluation_command(folder, queue.settings)
    assert command[1:6] == ["-m", "latentsync_core", "evaluate", str(folder.path), str(folder.path / "evaluation")]
    assert command[6:] == ["--weights", "models/evaluation", "--seconds", "60"]
