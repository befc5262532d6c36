"""A real redis-server of a test's own, on a socket of its own."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SECONDS_TO_START = 10.0


@contextmanager
def private_redis(folder: Path) -> Iterator[str]:
    """Run redis-server while the block runs; gives its URL. Keep the folder's path short: a socket's has 107 bytes."""
    socket = folder / "redis.sock"
    arguments = ["redis-server", "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder)]
    server = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + SECONDS_TO_START
        while not socket.exists():
            assert time.monotonic() < deadline, "redis-server did not start"
            assert server.poll() is None, "redis-server ended at once"
            time.sleep(0.02)
        yield f"unix://{socket}"
    finally:
        server.terminate()
        server.wait(SECONDS_TO_START)
