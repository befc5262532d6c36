"""A piece of work that runs in a thread of its own as long as a `with` block."""

import threading
from types import TracebackType
from typing import Self


class BackgroundThread:
    """Runs `_run` in a thread from the block's start; at its end sets `_stop` and waits for the thread.

    Args:
        name: of the thread.
        join_seconds: how long to wait at the end; None = for ever.
    """

    def __init__(self, name: str, join_seconds: float | None = None) -> None:
        self._stop = threading.Event()
        self._join_seconds = join_seconds
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end_thread()

    def _end_thread(self) -> None:
        self._stop.set()
        self._thread.join(self._join_seconds)

    def _run(self) -> None:
        """Work until the end, or until `_stop` is set."""
        raise NotImplementedError
