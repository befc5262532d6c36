"""The worker image's health check: does the queue hear from a worker on this host?"""

import socket
import sys

from worker.errors import QueueError
from worker.job_queue import JobQueue


def main() -> int:
    """Give 0 if it does, 1 with a line on stderr if not."""
    host = socket.gethostname()
    try:
        workers = JobQueue().workers()
    except QueueError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if any(worker.host == host for worker in workers):
        return 0
    sys.stderr.write(f"the queue hears from no worker on {host}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
