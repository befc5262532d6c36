"""Workbench: what a task finds in the worker that runs it."""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

from worker.gpu_process import GpuProcess
from worker.job import Lease
from worker.job_queue import JobQueue
from worker.log_lines import CurrentJob
from worker.settings import Settings


@dataclass(frozen=True)
class Workbench:
    """One worker's tools.

    Attributes:
        lease: how this worker signs for a job.
        current_job: set its `job` to the job at hand; log lines are marked with it.
        beat: keeps the worker, RQ's entry and the job's lease alive; cheap, to be called often.
        is_stopping: True once the worker was told to end.
    """

    settings: Settings
    queue: JobQueue
    gpu: GpuProcess
    lease: Lease
    current_job: CurrentJob
    beat: Callable[[], None]
    is_stopping: Callable[[], bool]


#: Set by the worker around each task (RQ calls tasks by name, with JSON arguments only).
current_workbench: ContextVar[Workbench] = ContextVar("current_workbench")
