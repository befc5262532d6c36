"""JobQueue: what the page and the command line may do with jobs.

Redis holds JSON only. RQ carries no more than "run attempt N of job X" (`dispatch.py`): the job itself, its progress,
the wish to cancel it and the lease of its worker are records of our own (`job_store.py`), so RQ's time limits on
results and its pickles play no part. Anyone who knows a job's unguessable id may watch it; only its owner may
change it.
"""

import json
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from latentsync_core.options import LipSyncOptions
from worker.dispatch import Dispatch, rq_id
from worker.errors import JobNotFound, NotTheOwner, QuotaExceeded, WrongState
from worker.job import (
    JOB_ID_PATTERN,
    Draft,
    InputFile,
    JobProgress,
    JobState,
    LipSyncJob,
    LogLine,
    QueueOverview,
    WorkerInfo,
    utc_now,
)
from worker.job_folder import JobFolder, UploadKind
from worker.job_store import JobStore, connect, told_in_words
from worker.log_book import LogBook
from worker.retention import all_folders, disk_use, is_expired, is_stale_draft, remove_leftovers, room_left
from worker.settings import Settings

#: A file on this machine, or its bytes block by block (they are streamed to disk, never held).
Upload = Path | Iterable[bytes]

DEFAULT_OPTIONS = LipSyncOptions()


class JobQueue:
    """The queue of one deployment. Cheap to make; safe to share between threads.

    Every method raises QueueUnavailable if Redis does not answer.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        redis = connect(self.settings)
        self.store = JobStore(redis, self.settings)
        self.dispatch = Dispatch(redis, self.settings)
        self.book = LogBook(redis, self.settings)

    # --- making a job -------------------------------------------------------------------------------------------

    def open_draft(self, owner: str) -> JobFolder:
        """Give an empty job folder to put uploads into (`folder.save_upload`), before there is a job.

        Drafts that no job is made of are swept after `settings.draft_hours`.

        Raises:
            QuotaExceeded: if the owner, or the machine, has no room left.
        """
        room_left(self.settings, owner)
        folder = JobFolder(secrets.token_hex(16), self.settings)
        folder.write_draft(Draft(owner=owner))
        return folder

    def draft(self, draft_id: str, owner: str) -> JobFolder:
        """Find an open draft again, after the owner's browser has loaded its page anew.

        Raises:
            JobNotFound: if there is none of this id (any more), or a job was made of it.
            NotTheOwner: if someone else opened it.
        """
        if not re.fullmatch(JOB_ID_PATTERN, draft_id):  # it comes from a web address
            raise JobNotFound(draft_id)
        folder = JobFolder(draft_id, self.settings)
        draft = folder.read_draft()
        if draft is None or folder.read_job() is not None:
            raise JobNotFound(draft_id)
        if not secrets.compare_digest(draft.owner.encode(), owner.encode()):
            raise NotTheOwner
        return folder

    def save_upload(
        self, draft_id: str, owner: str, kind: UploadKind, source: Upload, name: str | None = None
    ) -> InputFile:
        """Put a file into an open draft, within the owner's quota.

        Raises:
            JobNotFound, NotTheOwner: as `draft`.
            UploadTooLarge, UnreadableMedia, NoSpeech: as `JobFolder.save_upload`.
            QuotaExceeded: if there is no room left.
        """
        folder = self.draft(draft_id, owner)
        return folder.save_upload(kind, source, name or _name_of(source), room_left(self.settings, owner))

    def submit_draft(
        self, folder: JobFolder, owner: str, options: LipSyncOptions = DEFAULT_OPTIONS, model: str | None = None
    ) -> LipSyncJob:
        """Make a job of a draft that holds a video (or picture) and a sound, and queue it.

        Raises:
            QuotaExceeded: if the owner has `settings.max_queued_jobs` waiting or running already.
            NotTheOwner: if someone else opened the draft.
            WrongState: if an upload is missing, or the draft has become a job already.
        """
        draft, video, audio = folder.read_draft(), folder.input_facts("video"), folder.input_facts("audio")
        if folder.read_job() is not None:
            raise WrongState("These files are a job already.")
        if draft is None or video is None or audio is None:
            raise WrongState("Choose a video or picture, and a sound, first.")
        if draft.owner != owner:
            raise NotTheOwner
        with self._redis_told_in_words():
            self._check_places(owner)
            job = LipSyncJob(
                id=folder.job_id,
                owner=owner,
                model=model or self.settings.default_model,
                options=json.loads(json.dumps(options.to_dict())),  # as it will be read back: no tuples
                video=video,
                audio=audio,
            )
            folder.write_job(job)
            self.store.add(job, also=lambda pipe: self.dispatch.enqueue(job, pipe))
        self.book.say(f"queued: {video.name} with {audio.name}, model {job.model}", job.id)
        return job

    def submit(
        self,
        owner: str,
        video: Upload,
        audio: Upload,
        options: LipSyncOptions = DEFAULT_OPTIONS,
        model: str | None = None,
        *,
        video_name: str | None = None,
        audio_name: str | None = None,
    ) -> LipSyncJob:
        """`open_draft`, both uploads and `submit_draft` in one step; nothing is left behind if one of them fails.

        Names default to those of the files.

        Raises:
            UnreadableMedia, NoSpeech: if a file is not what it should be, in plain words.
            UploadTooLarge, QuotaExceeded: if there is no room for it.
        """
        folder = self.open_draft(owner)
        submitted = False
        try:
            folder.save_upload("video", video, video_name or _name_of(video), room_left(self.settings, owner))
            folder.save_upload("audio", audio, audio_name or _name_of(audio), room_left(self.settings, owner))
            job = self.submit_draft(folder, owner, options, model)
            submitted = True
        finally:
            if not submitted:
                folder.remove()
        return job

    # --- watching -----------------------------------------------------------------------------------------------

    def read(self, job_id: str) -> LipSyncJob:
        """The job as it is now. Raises JobNotFound."""
        with self._redis_told_in_words():
            return self.store.get(job_id)

    def folder(self, job_id: str) -> JobFolder:
        """Where its files are. Raises JobNotFound."""
        return JobFolder(self.read(job_id).id, self.settings)

    def position(self, job_id: str) -> int | None:
        """How many queued jobs are before this one; None if it is not queued."""
        with self._redis_told_in_words():
            job = self.store.get(job_id)
            waiting = self.dispatch.waiting()
        if job.state is not JobState.QUEUED:
            return None
        return waiting.index(rq_id(job)) if rq_id(job) in waiting else 0

    def jobs_of(self, owner: str, limit: int = 100) -> list[LipSyncJob]:
        """The owner's jobs, newest first."""
        with self._redis_told_in_words():
            return self.store.newest(limit, owner)

    def all_jobs(self, states: Iterable[JobState] | None = None, limit: int = 100) -> list[LipSyncJob]:
        """Everybody's jobs, newest first; for operators."""
        with self._redis_told_in_words():
            if states is None:
                return self.store.newest(limit)
            jobs = self.store.find_many(sorted(self.store.ids_in(states)))
        return sorted(jobs, key=lambda job: job.created_at, reverse=True)[:limit]

    def log_tail(self, job_id: str, lines: int = 50) -> list[LogLine]:
        """The job's last log lines, oldest first; empty if there are none."""
        with self._redis_told_in_words():
            return self.book.tail(job_id, lines)

    def follow_log(self, job_id: str | None = None, lines: int = 20, seconds: float | None = None) -> Iterator[LogLine]:
        """The last lines, then new ones as they come (None = of all jobs); ends after `seconds`, or never."""
        with self._redis_told_in_words():
            yield from self.book.follow(job_id, lines, seconds)

    def workers(self) -> list[WorkerInfo]:
        """The live workers, by name."""
        with self._redis_told_in_words():
            return self.store.workers()

    def overview(self) -> QueueOverview:
        """Counts per state, disk use and workers."""
        with self._redis_told_in_words():
            counts = {state.value: self.store.count(state) for state in JobState}
            workers = self.store.workers()
        use = disk_use(self.settings)
        return QueueOverview(
            **counts, bytes_used=use.total, bytes_allowed=self.settings.max_total_bytes, workers=workers
        )

    # --- changing (owner only) ----------------------------------------------------------------------------------

    def cancel(self, job_id: str, owner: str) -> LipSyncJob:
        """Stop a job: at once if queued (or its worker is lost), within 3 s if running; not if it is over.

        Raises:
            JobNotFound, NotTheOwner.
        """

        def ask(job: LipSyncJob) -> LipSyncJob | None:
            _check_owner(job, owner)
            is_running = job.state is JobState.RUNNING
            if job.state is JobState.QUEUED or (is_running and self.store.read_lease(job_id) is None):
                return job.model_copy(update={"state": JobState.CANCELLED, "ended_at": utc_now()})
            if is_running and not job.cancel_asked:
                return job.model_copy(update={"cancel_asked": True})
            return None

        with self._redis_told_in_words():
            changed = self.store.change(job_id, ask)
            if changed is None:
                return self.store.get(job_id)
            if changed.state is JobState.CANCELLED:
                self.dispatch.withdraw(changed)
                JobFolder(job_id, self.settings).write_job(changed)
        self.book.say("cancelled" if changed.state.is_over else "cancel asked", job_id)
        return changed

    def retry(self, job_id: str, owner: str) -> LipSyncJob:
        """Queue a failed or cancelled job again; finished segments are kept and not computed twice.

        Raises:
            JobNotFound, NotTheOwner, QuotaExceeded.
            WrongState: if the job is queued, running or finished.
        """

        def again(job: LipSyncJob) -> LipSyncJob:
            _check_owner(job, owner)
            if job.state not in (JobState.FAILED, JobState.CANCELLED):
                raise WrongState(f"This job is {job.state}; only a failed or cancelled one can be tried again.")
            return queued_again(job)

        with self._redis_told_in_words():
            self._check_places(owner)
            changed = self.store.change(job_id, again, also=lambda pipe, job: self.dispatch.enqueue(job, pipe))
        assert changed is not None  # `again` gives a job or raises
        JobFolder(job_id, self.settings).write_job(changed)
        self.book.say(f"queued again (attempt {changed.attempt})", job_id)
        return changed

    def delete(self, job_id: str, owner: str) -> None:
        """Remove a job that is over, with all its files.

        Raises:
            JobNotFound, NotTheOwner.
            WrongState: if it is queued or running (cancel it first).
        """
        with self._redis_told_in_words():
            job = self.store.get(job_id)
            _check_owner(job, owner)
            if not job.state.is_over:
                raise WrongState(f"This job is {job.state}. Cancel it before you delete it.")
            self._remove(job)

    def sweep(self) -> int:
        """Remove jobs past their retention and drafts that nobody used; gives how many. For worker and operators."""
        removed = 0
        remove_leftovers(self.settings)
        with self._redis_told_in_words():
            over = self.store.ids_in([JobState.FINISHED, JobState.FAILED, JobState.CANCELLED])
            for job in self.store.find_many(sorted(over)):
                if is_expired(job, self.settings):
                    self._remove(job)
                    removed += 1
            for folder in all_folders(self.settings):
                job_left = folder.read_job()
                lost = job_left is not None and is_expired(job_left, self.settings)
                if (lost and self.store.find(folder.job_id) is None) or is_stale_draft(folder, self.settings):
                    folder.remove()
                    removed += 1
        return removed

    def _remove(self, job: LipSyncJob) -> None:
        JobFolder(job.id, self.settings).remove()
        self.store.remove(job)

    def _check_places(self, owner: str) -> None:
        active = self.store.ids_in([JobState.QUEUED, JobState.RUNNING])
        mine = sum(job.owner == owner for job in self.store.find_many(sorted(active)))
        if mine >= self.settings.max_queued_jobs:
            raise QuotaExceeded(f"You have {mine} jobs waiting or running. Wait for one to end, or cancel one.")

    def _redis_told_in_words(self) -> AbstractContextManager[None]:
        return told_in_words(self.settings.redis_url)


def queued_again(job: LipSyncJob) -> LipSyncJob:
    """The job's next attempt, waiting."""
    return job.model_copy(
        update={
            "state": JobState.QUEUED,
            "attempt": job.attempt + 1,
            "cancel_asked": False,
            "message": None,
            "error": None,
            "ended_at": None,
            "progress": JobProgress(segments_done=job.progress.segments_done),
        }
    )


def _name_of(upload: Upload) -> str:
    return upload.name if isinstance(upload, Path) else "upload"


def _check_owner(job: LipSyncJob, owner: str) -> None:
    if not secrets.compare_digest(job.owner.encode(), owner.encode()):
        raise NotTheOwner
