"""Log records as structured lines, on stdout and on their way to the log book. The child needs no more than this."""

import logging
import sys
import traceback
from datetime import UTC, datetime

from worker.job import LogLine
from worker.settings import Settings


class CurrentJob(logging.Filter):
    """Marks this process's log records with the job at hand; a record's own `job` attribute wins."""

    def __init__(self) -> None:
        super().__init__()
        self.job: str | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        if getattr(record, "job", None) is None:
            record.job = self.job
        return True


class LineFormatter(logging.Formatter):
    """Log records as lines for people, or as one JSON object each."""

    def __init__(self, style: str) -> None:
        super().__init__()
        self._as_json = style == "json"

    def format(self, record: logging.LogRecord) -> str:
        line = line_of(record)
        return line.model_dump_json(exclude_none=True) if self._as_json else line.for_people()


def line_of(record: logging.LogRecord, worker: str | None = None) -> LogLine:
    """Make a log line of a record."""
    trace = getattr(record, "child_traceback", None)
    if record.exc_info and record.exc_info[0] is not None:
        trace = "".join(traceback.format_exception(*record.exc_info))
    return LogLine(
        time=datetime.fromtimestamp(record.created, UTC),
        level=record.levelname,
        source=record.name,
        message=record.getMessage(),
        job=getattr(record, "job", None),
        worker=worker,
        traceback=trace,
    )


def set_up_logging(settings: Settings, *more: logging.Handler) -> CurrentJob:
    """Send this process's records to stdout in the deployment's format, and to `more`; gives the job marker."""
    on_stdout = logging.StreamHandler(sys.stdout)
    on_stdout.setFormatter(LineFormatter(settings.log_format))
    current_job = CurrentJob()
    handlers = [on_stdout, *more]
    for handler in handlers:
        handler.addFilter(current_job)
    logging.getLogger().handlers[:] = handlers
    set_levels(settings.log_level)
    return current_job


def set_levels(ours: str) -> None:
    """Hear our own packages from a level on, others only when they warn."""
    logging.getLogger().setLevel(logging.WARNING)
    logging.getLogger("rq.worker").setLevel(logging.WARNING)  # RQ sets it to INFO unless it is set
    for package in ("worker", "latentsync_core"):
        logging.getLogger(package).setLevel(ours)
