"""Dispatch: RQ as the transport of "run attempt N of job X", and nothing else.

Each attempt has an RQ job of its own, which is deleted when it ends (result_ttl 0): what became of it is in our own
record. An entry that is left over from an earlier attempt does nothing, as the attempt's number is checked first.
"""

from redis import Redis
from redis.client import Pipeline
from rq import Queue
from rq.exceptions import NoSuchJobError
from rq.job import Job
from rq.serializers import JSONSerializer

from worker.job import LipSyncJob
from worker.settings import Settings

TASK = "worker.tasks.run_lip_sync"
EVALUATION_TASK = "worker.evaluations.run_evaluation"
NO_TIMEOUT = -1  # we time jobs by their frames and steps, see estimate.py; RQ's alarm could hit anywhere
FAILURE_SECONDS = 86400


class Dispatch:
    """The line of waiting attempts."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self.queue = Queue(settings.queue_name, connection=redis, serializer=JSONSerializer)

    def enqueue(self, job: LipSyncJob, pipe: Pipeline, at_front: bool = False) -> None:
        """Put the job's current attempt in line, within the caller's transaction."""
        self.queue.enqueue_call(
            TASK,
            args=[job.id, job.attempt],
            job_id=rq_id(job),
            timeout=NO_TIMEOUT,
            result_ttl=0,
            failure_ttl=FAILURE_SECONDS,
            description=f"attempt {job.attempt} of {job.id}",
            at_front=at_front,
            pipeline=pipe,
        )

    def enqueue_evaluation(self, job_id: str) -> None:
        """Put the evaluation of a finished job at the end of the line."""
        self.queue.enqueue_call(
            EVALUATION_TASK,
            args=[job_id],
            job_id=self.evaluation_id(job_id),
            timeout=NO_TIMEOUT,
            result_ttl=0,
            failure_ttl=FAILURE_SECONDS,
            description=f"evaluation of {job_id}",
        )

    @staticmethod
    def evaluation_id(job_id: str) -> str:
        """RQ's id of a job's evaluation."""
        return f"{job_id}-evaluation"

    def withdraw(self, job: LipSyncJob) -> None:
        """Take the job's current attempt out of the line; nothing happens if it is not in it."""
        try:
            Job.fetch(rq_id(job), connection=self.queue.connection, serializer=JSONSerializer).delete()
        except NoSuchJobError:
            return

    def waiting(self) -> list[str]:
        """RQ ids in line, the next one first."""
        return list(self.queue.get_job_ids())

    def in_hand(self) -> set[str]:
        """RQ ids that a worker has taken out of the line and has not ended."""
        taken = set(self.queue.intermediate_queue.get_job_ids())
        return taken | set(self.queue.started_job_registry.get_job_ids(cleanup=False))


def rq_id(job: LipSyncJob) -> str:
    """RQ's id of the job's current attempt."""
    return f"{job.id}-{job.attempt}"
