"""JobStore: the records of jobs in Redis, JSON only.

<queue>:job:<id>        LipSyncJob without its progress; every change is a checked transaction
<queue>:progress:<id>   JobProgress, written by the worker that has the job, several times a second
<queue>:lease:<id>      Lease of that worker; expires when it falls silent
<queue>:jobs            sorted set of all ids by time of creation
<queue>:owner:<token>   the same for one owner
<queue>:state:<state>   set of the ids in that state
<queue>:worker:<name>   WorkerInfo; expires when it falls silent
<queue>:workers         set of their names
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

from redis import Redis, WatchError
from redis.backoff import ExponentialWithJitterBackoff
from redis.client import Pipeline
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from worker.errors import JobNotFound, QueueUnavailable
from worker.job import JobProgress, JobState, Lease, LipSyncJob, WorkerInfo
from worker.settings import Settings

#: Gives the job as it shall be, or None to leave it; may raise. Called again if someone else was faster.
Change = Callable[[LipSyncJob], LipSyncJob | None]


def connect(settings: Settings) -> Redis:
    """Open the deployment's Redis; short outages are bridged by retries."""
    retry = Retry(ExponentialWithJitterBackoff(base=0.05, cap=1.0), retries=4)
    return Redis.from_url(settings.redis_url, retry=retry, retry_on_error=[RedisConnectionError, RedisTimeoutError])


@contextmanager
def told_in_words(url: str) -> Iterator[None]:
    """Turn Redis's own errors into QueueUnavailable."""
    try:
        yield
    except RedisError as error:
        raise QueueUnavailable(f"The job queue (Redis at {url.rsplit('@', 1)[-1]}) does not answer: {error}") from error


class JobStore:
    """Records of one deployment's jobs. All methods may raise RedisError."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self.redis = redis
        self._name = settings.queue_name
        self._lease_milliseconds = int(settings.lease_seconds * 1000)

    def key(self, *parts: str) -> str:
        """Name a key of this deployment."""
        return ":".join((self._name, *parts))

    # --- jobs ---------------------------------------------------------------------------------------------------

    def find(self, job_id: str) -> LipSyncJob | None:
        """The job with its progress, or None."""
        return next(iter(self.find_many([job_id])), None)

    def get(self, job_id: str) -> LipSyncJob:
        """The job with its progress. Raises JobNotFound."""
        job = self.find(job_id)
        if job is None:
            raise JobNotFound(job_id)
        return job

    def find_many(self, job_ids: Sequence[str]) -> list[LipSyncJob]:
        """The jobs that exist, in the order of their ids."""
        if not job_ids:
            return []
        keys = [self.key(kind, job_id) for kind in ("job", "progress") for job_id in job_ids]
        texts = cast(list[bytes | None], self.redis.mget(keys))
        jobs = []
        for job_text, progress_text in zip(texts[: len(job_ids)], texts[len(job_ids) :], strict=True):
            if job_text is None:
                continue
            job = LipSyncJob.model_validate_json(job_text)
            if progress_text is not None:
                job = job.model_copy(update={"progress": JobProgress.model_validate_json(progress_text)})
            jobs.append(job)
        return jobs

    def newest(self, limit: int, owner: str | None = None) -> list[LipSyncJob]:
        """The newest jobs of one owner, or of all."""
        key = self.key("owner", owner) if owner is not None else self.key("jobs")
        return self.find_many(_texts(self.redis.zrange(key, 0, limit - 1, desc=True)))

    def ids_in(self, states: Iterable[JobState]) -> set[str]:
        """Ids of the jobs in any of these states."""
        return set(_texts(self.redis.sunion([self.key("state", state) for state in states])))

    def count(self, state: JobState) -> int:
        """Number of jobs in a state."""
        return self.redis.scard(self.key("state", state))

    def add(self, job: LipSyncJob, also: Callable[[Pipeline], None] | None = None) -> None:
        """Write a new job, and whatever `also` puts into the same transaction."""
        with self.redis.pipeline() as pipe:
            pipe.multi()  # RQ looks whether it was called
            self._write(pipe, job)
            score = job.created_at.timestamp()
            pipe.zadd(self.key("jobs"), {job.id: score})
            pipe.zadd(self.key("owner", job.owner), {job.id: score})
            if also is not None:
                also(pipe)
            pipe.execute()

    def change(
        self, job_id: str, change: Change, also: Callable[[Pipeline, LipSyncJob], None] | None = None
    ) -> LipSyncJob | None:
        """Change a job unless someone else does at the same time; then look again.

        Args:
            job_id: of the job.
            change: see Change.
            also: puts more into the same transaction; gets the changed job.

        Returns:
            The job as written; None if `change` gave None.

        Raises:
            JobNotFound, and whatever `change` raises.
        """
        with self.redis.pipeline() as pipe:
            while True:
                pipe.watch(self.key("job", job_id))
                job = self.get(job_id)
                changed = change(job)
                if changed is None:
                    return None
                pipe.multi()
                self._write(pipe, changed)
                if also is not None:
                    also(pipe, changed)
                try:
                    pipe.execute()
                except WatchError:
                    continue
                return changed

    def remove(self, job: LipSyncJob) -> None:
        """Forget a job and all that is kept with it."""
        with self.redis.pipeline() as pipe:
            pipe.delete(*(self.key(kind, job.id) for kind in ("job", "progress", "lease", "log")))
            pipe.zrem(self.key("jobs"), job.id)
            pipe.zrem(self.key("owner", job.owner), job.id)
            for state in JobState:
                pipe.srem(self.key("state", state), job.id)
            pipe.execute()

    def _write(self, pipe: Pipeline, job: LipSyncJob) -> None:
        pipe.set(self.key("job", job.id), job.model_dump_json(exclude={"progress"}))
        pipe.set(self.key("progress", job.id), job.progress.model_dump_json())
        for state in JobState:
            if state != job.state:
                pipe.srem(self.key("state", state), job.id)
        pipe.sadd(self.key("state", job.state), job.id)

    # --- what the worker says while it works --------------------------------------------------------------------

    def write_progress(self, job_id: str, progress: JobProgress) -> None:
        """Say how far a job is; nothing happens if it was deleted."""
        self.redis.set(self.key("progress", job_id), progress.model_dump_json(), xx=True)

    def take_lease(self, job_id: str, lease: Lease, pipe: Pipeline | None = None) -> None:
        """Say that a worker is alive and has the job; to be repeated well within `settings.lease_seconds`."""
        (pipe or self.redis).set(self.key("lease", job_id), lease.model_dump_json(), px=self._lease_milliseconds)

    def read_lease(self, job_id: str) -> Lease | None:
        """Who has the job; None if nobody has."""
        text = cast(bytes | None, self.redis.get(self.key("lease", job_id)))
        return Lease.model_validate_json(text) if text else None

    def drop_lease(self, job_id: str, pipe: Pipeline | None = None) -> None:
        """Let go of a job."""
        (pipe or self.redis).delete(self.key("lease", job_id))

    # --- workers ------------------------------------------------------------------------------------------------

    def write_worker(self, info: WorkerInfo) -> None:
        """Say that a worker is alive."""
        with self.redis.pipeline() as pipe:
            pipe.set(self.key("worker", info.name), info.model_dump_json(), px=self._lease_milliseconds)
            pipe.sadd(self.key("workers"), info.name)
            pipe.execute()

    def remove_worker(self, name: str) -> None:
        """Say that a worker is gone."""
        self.redis.delete(self.key("worker", name))
        self.redis.srem(self.key("workers"), name)

    def workers(self) -> list[WorkerInfo]:
        """The live workers, by name; those that fell silent are forgotten."""
        names = sorted(_texts(self.redis.smembers(self.key("workers"))))
        if not names:
            return []
        texts = cast(list[bytes | None], self.redis.mget([self.key("worker", name) for name in names]))
        silent = [name for name, text in zip(names, texts, strict=True) if text is None]
        if silent:
            self.redis.srem(self.key("workers"), *silent)
        return [WorkerInfo.model_validate_json(text) for text in texts if text is not None]


def _texts(members: Any) -> list[str]:
    return [member.decode() for member in members]
