"""`python -m worker`: one worker on one device; also logs, status and sweep for whoever runs the service."""

import argparse
import logging
import sys
from collections.abc import Sequence

from worker.errors import QueueError
from worker.job import QueueOverview
from worker.job_queue import JobQueue
from worker.log_book import LogBookHandler
from worker.log_lines import set_up_logging
from worker.settings import GIB, Settings

logger = logging.getLogger("worker")

LOST_REDIS = 1  # exit code of a worker that gave up; whoever runs it should start it again
UNAVAILABLE = 2  # exit code when Redis does not answer or a job does not exist


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code."""
    chosen = _parser().parse_args(arguments)
    settings = Settings()
    try:
        if chosen.command == "logs":
            return _logs(JobQueue(settings), chosen.job, chosen.lines, chosen.follow, chosen.json)
        if chosen.command == "status":
            return _status(JobQueue(settings), chosen.json)
        if chosen.command == "sweep":
            sys.stdout.write(f"removed {JobQueue(settings).sweep()} jobs and drafts\n")
            return 0
        return _work(settings, chosen.burst)
    except QueueError as error:
        sys.stderr.write(f"{error}\n")
        return UNAVAILABLE
    except KeyboardInterrupt:  # the end of `logs --follow`
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m worker", description="The lip-sync worker and its queue.")
    parser.add_argument("--burst", action="store_true", help="end when no job waits")
    commands = parser.add_subparsers(dest="command", metavar="{logs,status,sweep}")
    logs = commands.add_parser("logs", help="show log lines of all jobs, or of one")
    logs.add_argument("job", nargs="?", help="job id")
    logs.add_argument("--follow", "-f", action="store_true", help="go on with new lines")
    logs.add_argument("--lines", "-n", type=int, default=50)
    logs.add_argument("--json", action="store_true", help="one JSON object per line")
    status = commands.add_parser("status", help="show the queue and its workers")
    status.add_argument("--json", action="store_true")
    commands.add_parser("sweep", help="remove jobs past their retention and unused uploads now")
    return parser


def _work(settings: Settings, burst: bool) -> int:
    from worker.rq_worker import LipSyncWorker, new_worker_name

    queue = JobQueue(settings)
    queue.overview()  # fails early, in words, if Redis is not there
    name = new_worker_name()
    current_job = set_up_logging(settings, LogBookHandler(queue.book, name))
    worker = LipSyncWorker(settings, queue, current_job, name)
    worker.work(burst=burst, logging_level=None)
    return 0 if burst or worker.was_told_to_end else LOST_REDIS


def _logs(queue: JobQueue, job_id: str | None, lines: int, follow: bool, as_json: bool) -> int:
    if job_id is not None:
        queue.read(job_id)
    for line in queue.follow_log(job_id, lines, None if follow else 0.0):
        sys.stdout.write((line.model_dump_json() if as_json else line.for_people()) + "\n")
        sys.stdout.flush()
    return 0


def _status(queue: JobQueue, as_json: bool) -> int:
    overview = queue.overview()
    sys.stdout.write((overview.model_dump_json(indent=2) if as_json else _status_for_people(overview)) + "\n")
    return 0


def _status_for_people(overview: QueueOverview) -> str:
    lines = [
        f"jobs     {overview.queued} queued, {overview.running} running, {overview.finished} finished, "
        f"{overview.failed} failed, {overview.cancelled} cancelled",
        f"disk     {overview.bytes_used / GIB:.2f} of {overview.bytes_allowed / GIB:.0f} GiB",
    ]
    for worker in overview.workers:
        doing = f"job {worker.job_id}" if worker.job_id else worker.state
        models = ", ".join(worker.models) or "no model loaded"
        lines.append(f"worker   {worker.name} on {worker.device}: {doing}; {worker.jobs_done} jobs done; {models}")
    if not overview.workers:
        lines.append("worker   none: start one with `python -m worker`")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
