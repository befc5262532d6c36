"""Everything that crosses Redis: pydantic models, stored as JSON."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from latentsync_core.options import LipSyncOptions
from latentsync_core.progress import Stage

JOB_ID_PATTERN = r"^[0-9a-f]{32}$"


def utc_now() -> datetime:
    return datetime.now(UTC)


class JobState(StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        """True if nothing more happens to the job by itself."""
        return self in (JobState.FINISHED, JobState.FAILED, JobState.CANCELLED)


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class JobProgress(_Record):
    """Where a run stands; refreshed at least once a second while it runs.

    Attributes:
        stage: what the pipeline is doing.
        frames_done: result frames finished in this stage.
        frames_total: result frames in all (0 while unknown).
        segments_done: playable segments in the job's folder.
        fraction: of the whole job, 0..1, never falling within one attempt.
        seconds_left: estimate; None while there is nothing to estimate from.
        detail: what a long stage is at ("downloading ..."); None most of the time.
        updated_at: when the worker last wrote this.
    """

    stage: Stage = "load"
    frames_done: int = 0
    frames_total: int = 0
    segments_done: int = 0
    fraction: float = Field(default=0.0, ge=0.0, le=1.0)
    seconds_left: float | None = None
    detail: str | None = None
    updated_at: datetime = Field(default_factory=utc_now)


class InputFile(_Record):
    """One upload.

    Attributes:
        name: what the user's file was called; for display only, never used as a path.
        file: its name in the job's folder, one of ours.
        size: bytes.
        seconds: duration; None for a picture.
        width, height: upright pixels; None for sound.
        fps: frames per second; None for sound and pictures.
    """

    name: str
    file: str
    size: int
    seconds: float | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None


class Draft(_Record):
    """Uploads that may become a job: who opened the folder, and when."""

    owner: str
    created_at: datetime = Field(default_factory=utc_now)


class LipSyncJob(_Record):
    """One job as the page sees it.

    Attributes:
        id: unguessable; whoever has it may watch the job.
        owner: opaque token of the browser that may change it. Never show it.
        state: see JobState.
        model: name of the bundle.
        options: `LipSyncOptions.to_dict()`; see `lip_sync_options`.
        video, audio: the uploads.
        created_at, started_at, ended_at: UTC; started_at is of the latest attempt.
        attempt: counts from 1; a retry and a recovery after a lost worker add one.
        recoveries: lost workers since a segment was last finished, and how many segments there were then.
        worker: name of the worker that has or had it.
        message: why it failed, in words for the user; None otherwise.
        error: the typed error's class name; "Internal" for an unexpected one; None otherwise.
        cancel_asked: the owner has asked for it to stop.
        warnings: the finished run's remarks (frames without a face ...).
        progress: how far it is.
    """

    id: str = Field(pattern=JOB_ID_PATTERN)
    owner: str
    state: JobState = JobState.QUEUED
    model: str
    options: dict[str, Any] = Field(default_factory=dict)
    video: InputFile
    audio: InputFile
    created_at: datetime = Field(default_factory=utc_now)
    started_at: datetime | None = None
    ended_at: datetime | None = None
    attempt: int = 1
    recoveries: int = 0
    segments_at_recovery: int = 0
    worker: str | None = None
    message: str | None = None
    error: str | None = None
    cancel_asked: bool = False
    warnings: list[str] = Field(default_factory=list)
    progress: JobProgress = Field(default_factory=JobProgress)

    @property
    def lip_sync_options(self) -> LipSyncOptions:
        """The user's choices, typed."""
        return LipSyncOptions.from_dict(self.options)

    @property
    def seconds_running(self) -> float:
        """Wall-clock seconds of the latest attempt, 0 before it starts."""
        if self.started_at is None:
            return 0.0
        return ((self.ended_at or utc_now()) - self.started_at).total_seconds()


class Lease(_Record):
    """Who is working on a job; it expires when its worker falls silent."""

    worker: str
    host: str
    pid: int


class WorkerInfo(_Record):
    """One live worker, refreshed every few seconds, gone when it falls silent.

    Attributes:
        name: of the worker.
        host, pid: where its queue process runs.
        child_pid: the warm process, None while there is none.
        child_restarts: how often it had to be replaced.
        device: as configured.
        state: idle or busy.
        job_id: what it works on.
        models: bundles that are loaded.
        jobs_done: jobs it ended, in whatever state.
        started_at, seen_at: UTC.
    """

    name: str
    host: str
    pid: int
    child_pid: int | None = None
    child_restarts: int = 0
    device: str = "auto"
    state: Literal["idle", "busy"] = "idle"
    job_id: str | None = None
    models: list[str] = Field(default_factory=list)
    jobs_done: int = 0
    started_at: datetime = Field(default_factory=utc_now)
    seen_at: datetime = Field(default_factory=utc_now)


class LogLine(_Record):
    """One structured log line, the same on stdout, in the job's `log.jsonl` and in Redis."""

    time: datetime = Field(default_factory=utc_now)
    level: str = "INFO"
    source: str = "worker"
    message: str
    job: str | None = None
    worker: str | None = None
    traceback: str | None = None

    def for_people(self) -> str:
        """One line of text, the traceback below it."""
        where = f" [{self.job[:8]}]" if self.job else ""
        text = f"{self.time:%Y-%m-%d %H:%M:%S} {self.level:<7}{where} {self.source}: {self.message}"
        return f"{text}\n{self.traceback.rstrip()}" if self.traceback else text


class QueueOverview(_Record):
    """The queue at a glance, for the operations page and `python -m worker status`."""

    queued: int
    running: int
    finished: int
    failed: int
    cancelled: int
    bytes_used: int
    bytes_allowed: int
    workers: list[WorkerInfo]
