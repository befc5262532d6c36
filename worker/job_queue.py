"""JobQueue: what the page and the command line may do with jobs.

Redis holds JSON only. RQ carries no more than "run attempt N of job X": the job itself, its progress, the wish to
cancel it and the lease of its worker are records of our own (`job_store.py`), so RQ's time limits on results and
its pickles play no part. Anyone who knows a job's unguessable id may watch it; only its owner may change it.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from latentsync_core.options import LipSyncOptions
from worker.job import JobState, LipSyncJob, LogLine, QueueOverview, WorkerInfo
from worker.job_folder import JobFolder
from worker.settings import Settings

#: A file on this machine, or its bytes block by block (they are streamed to disk, never held).
Upload = Path | Iterable[bytes]

DEFAULT_OPTIONS = LipSyncOptions()


class JobQueue:
    """The queue of one deployment. Cheap to make; safe to share between threads.

    Every method raises QueueUnavailable if Redis does not answer.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        raise NotImplementedError

    # --- making a job -------------------------------------------------------------------------------------------

    def open_draft(self, owner: str) -> JobFolder:
        """Give an empty job folder to put uploads into (`folder.save_upload`), before there is a job.

        Drafts that no job is made of are swept after `settings.draft_hours`.

        Raises:
            QuotaExceeded: if the owner, or the machine, has no room left.
        """
        raise NotImplementedError

    def submit_draft(
        self, folder: JobFolder, owner: str, options: LipSyncOptions = DEFAULT_OPTIONS, model: str | None = None
    ) -> LipSyncJob:
        """Make a job of a draft that holds a video (or picture) and a sound, and queue it.

        Raises:
            QuotaExceeded: if the owner has `settings.max_queued_jobs` waiting or running already.
            WrongState: if an upload is missing, or the draft has become a job already.
        """
        raise NotImplementedError

    def submit(
        self,
        owner: str,
        video: Upload,
        audio: Upload,
        options: LipSyncOptions = DEFAULT_OPTIONS,
        model: str | None = None,
        *,
        video_name: str = "video",
        audio_name: str = "audio",
    ) -> LipSyncJob:
        """`open_draft`, both uploads and `submit_draft` in one step; nothing is left behind if one of them fails.

        Raises:
            UnreadableMedia, NoSpeech: if a file is not what it should be, in plain words.
            UploadTooLarge, QuotaExceeded: if there is no room for it.
        """
        raise NotImplementedError

    # --- watching -----------------------------------------------------------------------------------------------

    def read(self, job_id: str) -> LipSyncJob:
        """The job as it is now. Raises JobNotFound."""
        raise NotImplementedError

    def folder(self, job_id: str) -> JobFolder:
        """Where its files are. Raises JobNotFound."""
        raise NotImplementedError

    def position(self, job_id: str) -> int | None:
        """How many queued jobs are before this one; None if it is not queued."""
        raise NotImplementedError

    def jobs_of(self, owner: str, limit: int = 100) -> list[LipSyncJob]:
        """The owner's jobs, newest first."""
        raise NotImplementedError

    def all_jobs(self, states: Iterable[JobState] | None = None, limit: int = 100) -> list[LipSyncJob]:
        """Everybody's jobs, newest first; for operators."""
        raise NotImplementedError

    def log_tail(self, job_id: str, lines: int = 50) -> list[LogLine]:
        """The job's last log lines, oldest first; empty if there are none."""
        raise NotImplementedError

    def follow_log(self, job_id: str | None = None, lines: int = 20, seconds: float | None = None) -> Iterator[LogLine]:
        """The last lines, then new ones as they come (None = of all jobs); ends after `seconds`, or never."""
        raise NotImplementedError

    def workers(self) -> list[WorkerInfo]:
        """The live workers, by name."""
        raise NotImplementedError

    def overview(self) -> QueueOverview:
        """Counts per state, disk use and workers."""
        raise NotImplementedError

    # --- changing (owner only) ----------------------------------------------------------------------------------

    def cancel(self, job_id: str, owner: str) -> LipSyncJob:
        """Stop a job: at once if queued, within 3 s if running; nothing happens if it is over.

        Raises:
            JobNotFound, NotTheOwner.
        """
        raise NotImplementedError

    def retry(self, job_id: str, owner: str) -> LipSyncJob:
        """Queue a failed or cancelled job again; finished segments are kept and not computed twice.

        Raises:
            JobNotFound, NotTheOwner, QuotaExceeded.
            WrongState: if the job is queued, running or finished.
        """
        raise NotImplementedError

    def delete(self, job_id: str, owner: str) -> None:
        """Remove a job that is over, with all its files.

        Raises:
            JobNotFound, NotTheOwner.
            WrongState: if it is queued or running (cancel it first).
        """
        raise NotImplementedError
