"""Errors of the queue: their messages are written for the user, as those of `latentsync_core.errors` are."""

from latentsync_core.errors import LipSyncError


class QueueError(LipSyncError):
    """Base of what the queue can refuse."""


class QueueUnavailable(QueueError):
    """Redis does not answer."""


class JobNotFound(QueueError):
    """No such job: a wrong link, or its retention is over."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__("This job does not exist (any more). Finished jobs are deleted after their retention time.")


class NotTheOwner(QueueError):
    """Someone else's job: it may be watched, not changed."""

    def __init__(self) -> None:
        super().__init__("Only the browser that started this job may change it.")


class WrongState(QueueError):
    """The job's state does not allow what was asked; the message says why."""


class QuotaExceeded(QueueError):
    """An owner's or the machine's disk quota, or the owner's number of waiting jobs, is used up."""


class UploadTooLarge(QueueError):
    """An upload passed its size limit while it was written; nothing of it is kept."""


class TunnelUnavailable(LipSyncError):
    """The page cannot be shared through a tunnel; the message says what is missing."""
