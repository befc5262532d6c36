"""Jobs through a real queue and a real worker, with a scripted pipeline in the child."""

import time
from collections.abc import Callable
from itertools import pairwise

import pytest

from tests.worker.conftest import lines_of, wait_for_state, wait_until
from tests.worker.scripted_pipeline import Script
from worker.job import JobProgress, JobState, LipSyncJob
from worker.job_queue import JobQueue

Submit = Callable[..., LipSyncJob]


def test_a_scripted_job_runs_from_its_uploads_to_its_result(service: JobQueue, submit: Submit):
    job = submit(service, Script(segments=2))
    done = wait_for_state(service, job, JobState.FINISHED, JobState.FAILED)
    folder = service.folder(job.id)
    assert done.state is JobState.FINISHED
    assert done.progress.fraction == 1.0
    assert done.progress.segments_done == 2
    assert done.warnings == ["scripted"]
    assert folder.result.read_bytes() == b"result"
    assert folder.report.is_file()
    assert [path.name for path in folder.segments] == ["00000.mp4", "00001.mp4"]
    assert folder.read_job() == done.model_copy(update={"progress": folder.read_job().progress})


def test_progress_of_a_scripted_job_is_written_at_least_once_a_second(service: JobQueue, submit: Submit):
    job = submit(service, Script(segments=3, steps=12, step_seconds=0.1))
    wait_for_state(service, job, JobState.RUNNING)
    seen: list[JobProgress] = []
    while (now := service.read(job.id)).state is JobState.RUNNING:
        if not seen or now.progress.updated_at != seen[-1].updated_at:
            seen.append(now.progress)
        time.sleep(0.02)
    gaps = [(b.updated_at - a.updated_at).total_seconds() for a, b in pairwise(seen)]
    assert max(gaps) < 1.0
    assert [p.fraction for p in seen] == sorted(p.fraction for p in seen)
    assert any(p.seconds_left is not None for p in seen)
    assert {"face", "diffusion", "encode"} >= {p.stage for p in seen} - {"load", "probe", "audio", "finish"}
    assert max(p.frames_done for p in seen) > 0


def test_scripted_jobs_share_one_warm_child(service: JobQueue, submit: Submit):
    jobs = [submit(service, Script(segments=1)) for _ in range(3)]
    for job in jobs:
        wait_for_state(service, job, JobState.FINISHED)
    pids = {pid for job in jobs for pid in lines_of(service, job, "pids.txt")}
    assert pids == {service.workers()[0].child_pid}


def test_a_typed_error_of_a_scripted_job_is_told_in_its_own_words(service: JobQueue, submit: Submit):
    job = submit(service, Script(fail_with="FaceNotFound"))
    failed = wait_for_state(service, job, JobState.FAILED)
    assert failed.error == "FaceNotFound"
    assert failed.message is not None
    assert "42 frames" in failed.message


def test_an_unexpected_error_of_a_scripted_job_is_friendly_to_the_user_and_complete_in_the_log(
    service: JobQueue, submit: Submit
):
    job = submit(service, Script(fail_with="ZeroDivisionError"))
    failed = wait_for_state(service, job, JobState.FAILED)
    assert failed.error == "Internal"
    assert failed.message is not None
    assert "secret" not in failed.message
    traces = [line.traceback for line in service.log_tail(job.id) if line.traceback]
    assert any("scripted_pipeline.py" in trace and "secret detail" in trace for trace in traces)


def test_an_unknown_bundle_fails_in_plain_words(service: JobQueue, submit: Submit):
    job = submit(service, Script(), model="no-such-bundle")
    failed = wait_for_state(service, job, JobState.FAILED)
    assert failed.error == "BundleNotFound"


def test_a_failed_scripted_job_can_be_tried_again(service: JobQueue, submit: Submit):
    job = submit(service, Script(fail_with="FaceNotFound"))
    wait_for_state(service, job, JobState.FAILED)
    Script(segments=1).write(service.folder(job.id).path)
    again = service.retry(job.id, job.owner)
    assert (again.state, again.attempt, again.message) == (JobState.QUEUED, 2, None)
    assert wait_for_state(service, job, JobState.FINISHED).attempt == 2


def test_the_log_of_a_scripted_job_tells_its_stages_and_can_be_followed(service: JobQueue, submit: Submit):
    job = submit(service, Script(segments=1))
    messages = [line.message for line in service.follow_log(job.id, seconds=2.0)]
    assert any(message.startswith("queued") for message in messages)
    assert "stage: diffusion" in messages
    assert any(message.startswith("finished after") for message in messages)
    in_file = service.folder(job.id).log.read_text(encoding="utf-8")
    assert all(message in in_file for message in messages)


# --- cancel ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["probe", "audio", "face", "diffusion", "encode", "finish"])
def test_cancel_ends_a_scripted_job_within_3_s_at_any_stage_and_leaves_the_child_warm(
    service: JobQueue, submit: Submit, stage: str
):
    child = service.workers()[0].child_pid
    job = submit(service, Script(segments=1, linger_in=stage, step_seconds=0.05))
    wait_until(lambda: service.read(job.id).progress.stage == stage, 10)
    service.cancel(job.id, job.owner)
    seconds = wait_until(lambda: service.read(job.id).state is JobState.CANCELLED, 3)
    print(f"cancel in {stage}: {seconds:.2f} s")  # noqa: T201 - the measured figure
    after = submit(service, Script(segments=1))
    wait_for_state(service, after, JobState.FINISHED)
    assert lines_of(service, after, "pids.txt") == [child]


@pytest.mark.parametrize(("script", "model"), [(Script(deaf_in="diffusion"), "mini"), (Script(), "slow-to-load")])
def test_a_scripted_child_that_does_not_obey_is_killed_within_3_s_and_replaced(
    service: JobQueue, submit: Submit, script: Script, model: str
):
    child = service.workers()[0].child_pid
    job = submit(service, script, model=model)
    stage = script.deaf_in or "load"
    wait_until(lambda: (now := service.read(job.id)).state is JobState.RUNNING and now.progress.stage == stage, 10)
    service.cancel(job.id, job.owner)
    seconds = wait_until(lambda: service.read(job.id).state is JobState.CANCELLED, 3)
    print(f"cancel of a deaf child in {stage}: {seconds:.2f} s")  # noqa: T201 - the measured figure
    after = submit(service, Script(segments=1))
    wait_for_state(service, after, JobState.FINISHED)
    assert lines_of(service, after, "pids.txt") != [child]


def test_a_cancelled_scripted_job_keeps_its_segments_for_a_retry(service: JobQueue, submit: Submit):
    job = submit(service, Script(segments=3, steps=10, step_seconds=0.05))
    wait_until(lambda: service.read(job.id).progress.segments_done >= 1, 10)
    service.cancel(job.id, job.owner)
    wait_for_state(service, job, JobState.CANCELLED)
    service.retry(job.id, job.owner)
    wait_for_state(service, job, JobState.FINISHED)
    assert lines_of(service, job, "computed.txt") == [0, 1, 2]


def test_cancel_of_a_job_that_is_over_changes_nothing(service: JobQueue, submit: Submit):
    job = submit(service, Script(segments=1))
    done = wait_for_state(service, job, JobState.FINISHED)
    assert service.cancel(job.id, job.owner) == done
