"""LipSyncWorker: RQ's worker for jobs that a warm child process runs.

RQ's own workers do not fit: the default forks (CUDA does not survive that), SpawnWorker loads the models for every
job, SimpleWorker shows no sign of life during a job. This one runs the task in its own thread, as SimpleWorker does;
the task only watches the child, and calls `beat` many times a second.
"""

import logging
import os
import secrets
import socket
import time
from typing import Any

from rq import SimpleWorker
from rq.serializers import JSONSerializer

from worker.gpu_process import ChildLost, GpuProcess
from worker.job import Lease, WorkerInfo, utc_now
from worker.job_queue import JobQueue
from worker.job_store import connect
from worker.log_lines import CurrentJob
from worker.recovery import Recovery
from worker.settings import Settings
from worker.workbench import Workbench, current_workbench

logger = logging.getLogger("worker")

RQ_DEQUEUE_MARGIN = 15  # RQ waits for jobs for worker_ttl minus this many seconds


class LipSyncWorker(SimpleWorker):
    """One worker on one device: takes attempts out of the line and has its child run them."""

    def __init__(self, settings: Settings, queue: JobQueue, current_job: CurrentJob, name: str) -> None:
        beat_seconds = max(1, int(settings.lease_seconds / 3))
        super().__init__(
            [settings.queue_name],
            name=name,
            connection=connect(settings),  # RQ changes its socket timeout
            serializer=JSONSerializer,
            worker_ttl=RQ_DEQUEUE_MARGIN + beat_seconds,
            maintenance_interval=beat_seconds,
        )
        self.log_job_description = False
        self._settings = settings
        self._job_queue = queue
        self._recovery = Recovery(queue)
        self.gpu = GpuProcess(settings)
        self._info = WorkerInfo(name=name, host=socket.gethostname(), pid=os.getpid(), device=settings.device)
        self._beat_seconds = beat_seconds / 2
        self._beaten_at = 0.0
        self._swept_at = 0.0
        self._bench = Workbench(
            settings=settings,
            queue=queue,
            gpu=self.gpu,
            lease=Lease(worker=name, host=self._info.host, pid=self._info.pid),
            current_job=current_job,
            beat=self._beat_on_job,
            is_stopping=lambda: self._stop_requested,
        )

    def work(self, *args: Any, **kwargs: Any) -> bool:
        """Work until told to end; the child ends with it."""
        restored = self._recovery.restore_from_folders()
        logger.info("worker %s started on %s (%d jobs put back)", self.name, self._settings.device, restored)
        self.gpu.ensure_started()
        try:
            return bool(super().work(*args, **kwargs))
        finally:
            self.gpu.kill()
            self._job_queue.store.remove_worker(self.name)
            logger.info("worker %s ended", self.name)

    @property
    def was_told_to_end(self) -> bool:
        """True after SIGTERM or SIGINT."""
        return self._shutdown_requested_date is not None

    def execute_job(self, job: Any, queue: Any) -> None:
        """Run one attempt with this worker's tools at hand."""
        token = current_workbench.set(self._bench)
        try:
            super().execute_job(job, queue)
        finally:
            current_workbench.reset(token)
        self._info = self._info.model_copy(update={"jobs_done": self._info.jobs_done + 1})

    # --- signs of life ------------------------------------------------------------------------------------------

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """RQ's sign of life, and ours; RQ calls this every few seconds while it waits for jobs."""
        super().heartbeat(timeout, pipeline)
        if not self.executions:
            self._look_after_child()
        self._write_info()

    def _beat_on_job(self) -> None:
        """Called by the task many times a second."""
        if time.monotonic() - self._beaten_at < self._beat_seconds:
            return
        self._beaten_at = time.monotonic()
        execution = next(iter(self.executions.values()))
        self.maintain_heartbeats(execution.job, execution)
        job_id = self._bench.current_job.job
        if job_id is not None:
            self._job_queue.store.take_lease(job_id, self._bench.lease)

    def get_heartbeat_ttl(self, job: Any, working_time: float = 0.0) -> int:
        """Seconds after which RQ counts a job without a sign of life as lost (our lease is shorter)."""
        return int(self._settings.lease_seconds * 3)

    def _write_info(self) -> None:
        self._info = self._info.model_copy(
            update={
                "child_pid": self.gpu.pid,
                "child_restarts": max(0, self.gpu.starts - 1),
                "state": "idle" if self._bench.current_job.job is None else "busy",
                "job_id": self._bench.current_job.job,
                "models": self.gpu.models,
                "seen_at": utc_now(),
            }
        )
        self._job_queue.store.write_worker(self._info)

    def _look_after_child(self) -> None:
        """Read what the idle child said; replace one that died, or was killed for a job that it would not end."""
        if self._stop_requested:
            return
        try:
            if self.gpu.is_started:
                self.gpu.poll(0)
        except ChildLost as loss:
            logger.warning("the idle model process was lost: %s", loss)
        self.gpu.ensure_started()

    # --- maintenance --------------------------------------------------------------------------------------------

    def run_maintenance_tasks(self) -> None:
        """RQ's maintenance, then ours: lost jobs come back, old ones go."""
        super().run_maintenance_tasks()
        self._recovery.look()
        if time.monotonic() - self._swept_at > self._settings.sweep_interval or self._swept_at == 0.0:
            self._swept_at = time.monotonic()
            removed = self._job_queue.sweep()
            if removed:
                logger.info("removed %d jobs and drafts past their time", removed)


def new_worker_name() -> str:
    """A name that tells where the worker runs and that no other has."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"
