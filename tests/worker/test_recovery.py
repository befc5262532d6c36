"""What happens when processes are lost, with a scripted pipeline in the child."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

from tests.worker.conftest import OWNER, lines_of, running_worker, wait_for_state, wait_until
from tests.worker.scripted_pipeline import Script
from worker.job import JobState, Lease, LipSyncJob
from worker.job_queue import JobQueue
from worker.recovery import GIVEN_UP, Recovery
from worker.settings import Settings

Submit = Callable[..., LipSyncJob]
SLOW = Script(segments=4, steps=5, step_seconds=0.1)


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists() and " Z " not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")


# --- the child is lost ----------------------------------------------------------------------------------------------


def test_a_killed_scripted_child_is_replaced_and_the_job_goes_on_after_its_last_segment(
    service: JobQueue, submit: Submit
):
    job = submit(service, SLOW)
    wait_until(lambda: service.read(job.id).progress.segments_done >= 2, 20)
    os.kill(lines_of(service, job, "pids.txt")[0], signal.SIGKILL)
    done = wait_for_state(service, job, JobState.FINISHED, JobState.FAILED)
    assert done.state is JobState.FINISHED
    assert lines_of(service, job, "computed.txt") == [0, 1, 2, 3]  # none of them twice
    assert len(set(lines_of(service, job, "pids.txt"))) == 2
    assert any("SIGKILL" in line.message for line in service.log_tail(job.id))


def test_a_scripted_child_killed_while_idle_is_replaced_before_the_next_job(service: JobQueue, submit: Submit):
    child = service.workers()[0].child_pid
    assert child is not None
    os.kill(child, signal.SIGKILL)
    wait_until(lambda: service.workers()[0].child_pid not in (child, None), 10)
    job = submit(service, Script(segments=1))
    wait_for_state(service, job, JobState.FINISHED)


def test_crashes_with_segments_finished_between_them_are_not_counted_together(service: JobQueue, submit: Submit):
    job = submit(service, Script(segments=2, die_in_segment=0, deaths=3))  # max_crashes is 3
    done = wait_for_state(service, job, JobState.FINISHED, JobState.FAILED, seconds=40)
    assert done.state is JobState.FINISHED
    assert lines_of(service, job, "computed.txt") == [0, 1]


def test_a_scripted_job_that_crashes_again_and_again_is_given_up_in_plain_words(service: JobQueue, submit: Submit):
    job = submit(service, Script(segments=2, die_in_segment=1, deaths=99))
    failed = wait_for_state(service, job, JobState.FAILED, seconds=40)
    assert failed.error == "Crashed"
    assert failed.message is not None
    assert "stopped unexpectedly several times" in failed.message
    assert len(lines_of(service, job, "deaths.txt")) == 4  # the first, and three more tries
    assert lines_of(service, job, "computed.txt") == [0]


# --- the worker is lost ---------------------------------------------------------------------------------------------


def test_a_killed_workers_scripted_job_is_recovered_by_the_next_one_and_its_child_dies(
    settings: Settings, queue: JobQueue, submit: Submit
):
    job = submit(queue, SLOW)
    with running_worker(settings) as worker:
        wait_until(lambda: queue.read(job.id).progress.segments_done >= 1, 30)
        child = lines_of(queue, job, "pids.txt")[0]
        worker.kill()
        worker.wait(10)
        wait_until(lambda: not is_alive(child), 3)
    assert queue.read(job.id).state is JobState.RUNNING  # so it seems
    with running_worker(settings):
        done = wait_for_state(queue, job, JobState.FINISHED, JobState.FAILED, seconds=40)
    assert done.state is JobState.FINISHED
    assert done.attempt == 2
    assert lines_of(queue, job, "computed.txt") == [0, 1, 2, 3]


def test_a_worker_told_to_end_gives_its_scripted_job_back(settings: Settings, queue: JobQueue, submit: Submit):
    job = submit(queue, Script(segments=2, linger_in="diffusion", step_seconds=0.05))
    with running_worker(settings) as worker:
        wait_until(lambda: queue.read(job.id).progress.stage == "diffusion", 30)
        child = lines_of(queue, job, "pids.txt")[0]
        worker.terminate()
        assert worker.wait(30) == 0
    assert not is_alive(child)
    back = queue.read(job.id)
    assert (back.state, back.attempt) == (JobState.QUEUED, 2)
    assert queue.workers() == []
    Script(segments=2).write(queue.folder(job.id).path)
    with running_worker(settings, "--burst"):
        wait_for_state(queue, job, JobState.FINISHED, seconds=30)


def test_a_running_job_without_a_live_worker_is_queued_again_at_the_front(queue: JobQueue, submit: Submit):
    lost, waiting = submit(queue, Script()), submit(queue, Script())
    pretend_running(queue, lost, Lease(worker="gone", host=os.uname().nodename, pid=2**22 + 1))
    assert Recovery(queue).look() == 1
    assert queue.read(lost.id).attempt == 2
    assert (queue.position(lost.id), queue.position(waiting.id)) == (0, 1)


def test_a_running_job_with_a_live_worker_is_left_alone(queue: JobQueue, submit: Submit):
    job = submit(queue, Script())
    pretend_running(queue, job, Lease(worker="elsewhere", host="another-machine", pid=1))
    assert Recovery(queue).look() == 0
    assert queue.read(job.id).state is JobState.RUNNING


def test_a_job_that_loses_worker_after_worker_is_given_up(queue: JobQueue, submit: Submit):
    job = submit(queue, Script())
    for _ in range(queue.settings.max_crashes):
        pretend_running(queue, job, None)
        assert Recovery(queue).look() == 1
        assert queue.read(job.id).state is JobState.QUEUED
    pretend_running(queue, job, None)
    Recovery(queue).look()
    assert (queue.read(job.id).state, queue.read(job.id).message) == (JobState.FAILED, GIVEN_UP)


def test_a_running_job_whose_worker_is_lost_is_cancelled_at_once(queue: JobQueue, submit: Submit):
    job = submit(queue, Script())
    pretend_running(queue, job, None)
    assert queue.cancel(job.id, OWNER).state is JobState.CANCELLED


def test_a_queued_job_that_fell_out_of_the_line_is_put_back(queue: JobQueue, submit: Submit):
    job = submit(queue, Script())
    queue.dispatch.withdraw(job)
    recovery = Recovery(queue)
    assert recovery.look() == 0  # seen missing once: it may be between two lists
    assert recovery.look() == 1
    assert queue.dispatch.waiting() == [f"{job.id}-2"]


def test_jobs_come_back_from_their_folders_when_redis_was_emptied(settings: Settings, queue: JobQueue, submit: Submit):
    job = submit(queue, Script())
    for key in queue.store.redis.scan_iter(f"{settings.queue_name}:*"):
        queue.store.redis.delete(key)
    assert queue.jobs_of(OWNER) == []
    old_enough = job.model_copy(update={"created_at": job.created_at.replace(year=job.created_at.year - 1)})
    queue_folder(settings, job).write_job(old_enough)
    assert Recovery(queue).restore_from_folders() == 1
    assert [found.id for found in queue.jobs_of(OWNER)] == [job.id]
    assert queue.read(job.id).state is JobState.QUEUED


def pretend_running(queue: JobQueue, job: LipSyncJob, lease: Lease | None) -> None:
    queue.dispatch.withdraw(queue.read(job.id))
    queue.store.change(job.id, lambda now: now.model_copy(update={"state": JobState.RUNNING}))
    if lease is not None:
        queue.store.take_lease(job.id, lease)


def queue_folder(settings: Settings, job: LipSyncJob):
    from worker.job_folder import JobFolder

    return JobFolder(job.id, settings)
