"""run_lip_sync: one attempt of one job, from its folder to its result. Errors become messages here and only here."""

import logging
import time

from redis.client import Pipeline
from redis.exceptions import RedisError

from worker.errors import JobNotFound
from worker.estimate import UNTIMED_STAGES, ProgressMeter, time_limit
from worker.job import JobProgress, JobState, LipSyncJob, utc_now
from worker.job_folder import JobFolder
from worker.job_queue import queued_again
from worker.messages import Advanced, RunRequest
from worker.supervise import Outcome, Supervisor, Wish
from worker.workbench import Workbench, current_workbench

logger = logging.getLogger("worker.job")

PROGRESS_SECONDS = 0.3  # between two writes of the progress
CANCEL_SECONDS = 0.2  # between two looks whether the owner wants it cancelled

MESSAGES = {
    "Crashed": "The lip-sync process stopped unexpectedly several times in a row, so this job was given up. "
    "The server may be short of memory: try a shorter or smaller video, or try again later.",
    "TimedOut": "This job took much longer than a job of its size should, and was stopped. Try again later.",
    "Stalled": "The lip-sync process stopped making progress and was ended. Try again.",
    "Internal": "Something went wrong on our side; it has been logged. Try again; if it fails again, "
    "try another video or tell whoever runs this server.",
}


def run_lip_sync(job_id: str, attempt: int) -> None:
    """Run one attempt; what comes of it is in the job's record. RQ calls this by name.

    Raises:
        RedisError: if Redis is gone for good; the job is recovered when it is back.
    """
    bench = current_workbench.get()
    job = _claim(bench, job_id, attempt)
    if job is None:
        logger.info("nothing to do for attempt %d of %s", attempt, job_id)
        return
    bench.current_job.job = job_id
    try:
        logger.info("attempt %d starts on %s", attempt, bench.lease.worker)
        outcome = _Attempt(bench, job).run()
    except RedisError:
        bench.gpu.kill()  # whoever recovers the job must find its folder at rest
        raise
    except Exception:  # a fault of ours in this process: the user gets a message, the log the traceback
        logger.exception("the attempt failed in the worker")
        bench.gpu.kill()
        outcome = Outcome("failed", "Internal")
    finally:
        bench.current_job.job = None
    _conclude(bench, job, outcome)


class _Attempt:
    """The run of a claimed job, and what is written about it meanwhile."""

    def __init__(self, bench: Workbench, job: LipSyncJob) -> None:
        self._bench = bench
        self._job = job
        self._meter = ProgressMeter()
        self._progress = job.progress
        self._stages_seen: set[str] = set()
        self._written_at = 0.0
        self._looked_at = 0.0

    def run(self) -> Outcome:
        job, settings = self._job, self._bench.settings
        folder = JobFolder(job.id, settings)
        limit = time_limit(job.video, job.audio, job.lip_sync_options.steps, settings)
        supervisor = Supervisor(self._bench.gpu, settings, limit, self._on_progress, self._on_tick)
        request = RunRequest(
            model=job.model,
            video=folder.path / job.video.file,
            audio=folder.path / job.audio.file,
            out=folder.result,
            report=folder.report,
            work_dir=folder.path,
            options=job.options,
        )
        outcome = supervisor.run(request)
        self._write_progress()
        return outcome

    def _on_progress(self, news: Advanced) -> None:
        if news.stage not in self._stages_seen:
            self._stages_seen.add(news.stage)
            logger.info("stage: %s", news.stage)
        if news.segments_done > self._progress.segments_done:
            logger.info("segment %d is done", news.segments_done)
        before = self._progress.segments_done
        self._progress = self._meter.update(news)
        if news.stage in UNTIMED_STAGES:  # the pipeline has not looked into the folder yet
            self._progress = self._progress.model_copy(update={"segments_done": before})

    def _on_tick(self) -> Wish:
        """Write the progress, keep the lease, look for wishes."""
        bench, now = self._bench, time.monotonic()
        bench.beat()
        if now - self._written_at >= PROGRESS_SECONDS:
            self._written_at = now
            self._write_progress()
        if now - self._looked_at >= CANCEL_SECONDS:
            self._looked_at = now
            if self._is_cancelled():
                return Wish.CANCEL
        return Wish.STOP if bench.is_stopping() else Wish.GO_ON

    def _write_progress(self) -> None:
        progress = self._progress.model_copy(update={"updated_at": utc_now()})
        self._bench.queue.store.write_progress(self._job.id, progress)

    def _is_cancelled(self) -> bool:
        job = self._bench.queue.store.find(self._job.id)
        if job is None or job.state is not JobState.RUNNING or job.attempt != self._job.attempt:
            return True  # deleted, or taken away because this worker seemed lost
        return job.cancel_asked


def _claim(bench: Workbench, job_id: str, attempt: int) -> LipSyncJob | None:
    """Take a waiting job; None if it was cancelled, deleted, or is not at this attempt (any more)."""
    store = bench.queue.store

    def take(job: LipSyncJob) -> LipSyncJob | None:
        if job.state is not JobState.QUEUED or job.attempt != attempt:
            return None
        progress = JobProgress(segments_done=job.progress.segments_done)
        changes = {"state": JobState.RUNNING, "started_at": utc_now(), "ended_at": None, "progress": progress}
        return job.model_copy(update={**changes, "worker": bench.lease.worker})

    try:
        job = store.change(job_id, take, also=lambda pipe, _: store.take_lease(job_id, bench.lease, pipe))
    except JobNotFound:
        return None
    if job is not None:
        JobFolder(job_id, bench.settings).write_job(job)
    return job


def _conclude(bench: Workbench, job: LipSyncJob, outcome: Outcome) -> None:
    """Write how the attempt ended, unless the job was deleted or taken over meanwhile."""
    store, dispatch = bench.queue.store, bench.queue.dispatch

    def end(now: LipSyncJob) -> LipSyncJob | None:
        if now.state is not JobState.RUNNING or now.attempt != job.attempt:
            return None
        if outcome.how == "stopped":
            return queued_again(now)
        return now.model_copy(update=_changes_of(now, outcome))

    def also(pipe: Pipeline, changed: LipSyncJob) -> None:
        store.drop_lease(job.id, pipe)
        if changed.state is JobState.QUEUED:
            dispatch.enqueue(changed, pipe, at_front=True)

    try:
        changed = store.change(job.id, end, also)
    except JobNotFound:
        changed = None
    if changed is None:
        logger.warning("job %s was taken away while it ran", job.id)
        return
    JobFolder(job.id, bench.settings).write_job(changed)
    extra = {"job": job.id}
    if outcome.how == "stopped":
        logger.info("the worker ends; the job waits for the next one", extra=extra)
    elif outcome.message is not None:
        logger.info("%s after %.1f s: %s", changed.state, changed.seconds_running, outcome.message, extra=extra)
    else:
        logger.info("%s after %.1f s", changed.state, changed.seconds_running, extra=extra)


def _changes_of(job: LipSyncJob, outcome: Outcome) -> dict[str, object]:
    changes: dict[str, object] = {"state": JobState(outcome.how), "ended_at": utc_now(), "cancel_asked": False}
    if outcome.how == "finished":
        done = {"fraction": 1.0, "seconds_left": 0.0, "stage": "finish", "updated_at": utc_now()}
        changes["progress"] = job.progress.model_copy(update=done)
        changes["warnings"] = list(outcome.warnings)
    elif outcome.how == "failed":
        changes["message"] = user_message(outcome)
        changes["error"] = outcome.error if outcome.is_typed or outcome.error in MESSAGES else "Internal"
    return changes


def user_message(outcome: Outcome) -> str:
    """What the user reads about a failed run: a typed error's own words, else ours."""
    if outcome.is_typed and outcome.message:
        return outcome.message
    return MESSAGES.get(outcome.error or "", MESSAGES["Internal"])
