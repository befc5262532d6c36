"""Recovery: bring back jobs whose worker, or whose Redis, was lost."""

import logging
import os
import socket
from functools import partial

from redis.client import Pipeline

from worker.dispatch import rq_id
from worker.job import JobState, Lease, LipSyncJob, utc_now
from worker.job_folder import JobFolder
from worker.job_queue import JobQueue, queued_again
from worker.retention import all_folders

logger = logging.getLogger("worker.recovery")

GIVEN_UP = (
    "The worker was lost several times while it had this job, so the job was given up. "
    "Try a shorter or smaller video, or try again later."
)


class Recovery:
    """Looks after one deployment's queue; any idle worker may do it, at any time."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self._missing_before: set[str] = set()

    def look(self) -> int:
        """Queue again, at the front, what nobody works on any more; gives how many."""
        return self._recover_running() + self._recover_queued()

    def restore_from_folders(self) -> int:
        """Put jobs back of which Redis knows nothing (it was emptied); gives how many."""
        store, settings = self._queue.store, self._queue.settings
        restored = 0
        for folder in all_folders(settings):
            job = folder.read_job()
            if job is None or store.find(job.id) is not None:
                continue
            if (utc_now() - job.created_at).total_seconds() < settings.lease_seconds:
                continue  # it is being submitted just now
            if job.state.is_over:
                store.add(job)
            else:
                waiting = queued_again(job)
                store.add(waiting, also=partial(self._enqueue, job=waiting))
            restored += 1
        if restored:
            logger.warning("put %d jobs back from their folders", restored)
        return restored

    def _recover_running(self) -> int:
        store = self._queue.store
        recovered = 0
        for job in store.find_many(sorted(store.ids_in([JobState.RUNNING]))):
            if not is_abandoned(store.read_lease(job.id)):
                continue
            changed = store.change(job.id, partial(self._again, attempt=job.attempt), self._enqueue)
            if changed is None:
                continue
            JobFolder(job.id, self._queue.settings).write_job(changed)
            logger.warning("worker %s was lost; job is %s", job.worker, changed.state, extra={"job": job.id})
            recovered += 1
        return recovered

    def _recover_queued(self) -> int:
        """Queue those again that are said to wait but are not in line; twice missed, as both are not read at once."""
        store, dispatch = self._queue.store, self._queue.dispatch
        queued = store.find_many(sorted(store.ids_in([JobState.QUEUED])))
        in_line = set(dispatch.waiting()) | dispatch.in_hand()
        missing = {rq_id(job) for job in queued} - in_line
        lost = [job for job in queued if rq_id(job) in missing & self._missing_before]
        self._missing_before = missing
        for job in lost:
            store.change(job.id, partial(self._again, attempt=job.attempt), self._enqueue)
            logger.warning("the job had fallen out of the line; put back", extra={"job": job.id})
        return len(lost)

    def _again(self, job: LipSyncJob, attempt: int) -> LipSyncJob | None:
        if job.state.is_over or job.attempt != attempt:
            return None  # someone else was faster
        if job.cancel_asked:
            return job.model_copy(update={"state": JobState.CANCELLED, "ended_at": utc_now(), "cancel_asked": False})
        got_on = job.progress.segments_done > job.segments_at_recovery
        recoveries = 1 if got_on else job.recoveries + 1
        if recoveries > self._queue.settings.max_crashes:
            given_up = {"state": JobState.FAILED, "ended_at": utc_now(), "message": GIVEN_UP, "error": "Crashed"}
            return job.model_copy(update=given_up)
        update = {"recoveries": recoveries, "segments_at_recovery": job.progress.segments_done}
        return queued_again(job).model_copy(update=update)

    def _enqueue(self, pipe: Pipeline, job: LipSyncJob) -> None:
        if job.state is JobState.QUEUED:
            self._queue.dispatch.enqueue(job, pipe, at_front=True)


def is_abandoned(lease: Lease | None) -> bool:
    """Tell whether nobody works on a running job: no lease, or one of a process of this machine that is gone."""
    if lease is None:
        return True
    if lease.host != socket.gethostname():
        return False
    try:
        os.kill(lease.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # it lives, under another user
        return False
    return False
