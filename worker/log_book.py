"""LogBook: where log lines go: the job's folder, a capped Redis stream per job and one of all jobs.

Lines are JSON everywhere; people read `LogLine.for_people()`. A log that cannot be written never stops a job.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, cast

from redis import Redis
from redis.exceptions import RedisError

from worker.job import LogLine
from worker.job_folder import JobFolder
from worker.log_lines import line_of
from worker.settings import MIB, Settings

MAX_FILE_BYTES = 8 * MIB  # of one job's log.jsonl; what comes later is only in Redis and on stdout
BLOCK_MILLISECONDS = 500
SECONDS_PER_DAY = 86400


class LogBook:
    """Writes and reads the log lines of one deployment."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._settings = settings

    def write(self, line: LogLine) -> None:
        """Keep a line. If Redis or the disk refuses, the line is only on stdout."""
        text = line.model_dump_json()
        if line.job is not None:
            self._append_to_file(line.job, text)
        with suppress(RedisError):  # the line is in the file and on stdout; a log must not fail a job
            self._add_to_streams(line.job, text)

    def say(self, message: str, job: str | None = None, level: str = "INFO") -> None:
        """Keep a line of the queue's own."""
        self.write(LogLine(message=message, job=job, level=level, source="worker.queue"))

    def tail(self, job_id: str | None, lines: int) -> list[LogLine]:
        """The last lines, oldest first; a job's come from its file if Redis has lost them."""
        entries = cast(list[Any], self._redis.xrevrange(self._key(job_id), count=lines))
        if not entries and job_id is not None:
            return self._file_tail(job_id, lines)
        return [_parse(fields) for _, fields in reversed(entries)]

    def follow(self, job_id: str | None, lines: int, seconds: float | None = None) -> Iterator[LogLine]:
        """The last lines, then new ones as they come; ends after `seconds`, or never."""
        key = self._key(job_id)
        newest = cast(list[Any], self._redis.xrevrange(key, count=max(lines, 1)))
        last_id = newest[0][0] if newest else b"0-0"
        for _, fields in reversed(newest[:lines]):
            yield _parse(fields)
        end = None if seconds is None else time.monotonic() + seconds
        while end is None or time.monotonic() < end:
            answer = cast(list[Any], self._redis.xread({key: last_id}, block=BLOCK_MILLISECONDS) or [])
            for _, entries in answer:
                for entry_id, fields in entries:
                    last_id = entry_id
                    yield _parse(fields)

    def _key(self, job_id: str | None) -> str:
        base = f"{self._settings.queue_name}:log"
        return base if job_id is None else f"{base}:{job_id}"

    def _append_to_file(self, job_id: str, text: str) -> None:
        path = JobFolder(job_id, self._settings).log
        try:
            with path.open("a", encoding="utf-8") as file:  # O_APPEND: page and worker may both write
                if file.tell() < MAX_FILE_BYTES:
                    file.write(text + "\n")
        except OSError:  # folder deleted, disk full: the line is in Redis and on stdout
            return

    def _add_to_streams(self, job_id: str | None, text: str) -> None:
        fields: dict[Any, Any] = {"line": text}
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.xadd(self._key(None), fields, maxlen=self._settings.log_stream_cap, approximate=True)
            if job_id is not None:
                pipe.xadd(self._key(job_id), fields, maxlen=self._settings.log_job_cap, approximate=True)
                pipe.expire(self._key(job_id), int((self._settings.retention_days + 1) * SECONDS_PER_DAY))
            pipe.execute()

    def _file_tail(self, job_id: str, lines: int) -> list[LogLine]:
        try:
            texts = JobFolder(job_id, self._settings).log.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        return [LogLine.model_validate_json(text) for text in texts[-lines:]]


class LogBookHandler(logging.Handler):
    """Sends this process's log records to the book."""

    def __init__(self, book: LogBook, worker: str) -> None:
        super().__init__()
        self._book = book
        self._worker = worker

    def emit(self, record: logging.LogRecord) -> None:
        self._book.write(line_of(record, self._worker))


def _parse(fields: dict[bytes, bytes]) -> LogLine:
    return LogLine.model_validate_json(fields[b"line"])
