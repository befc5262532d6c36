"""Whether a run's folder is being trained in: `state.json`, locked by the trainer for as long as it trains.

The lock is the kernel's (flock), so it goes with the process however that ends: a run that was killed is never taken
for a running one, and two trainers never share a folder. No torch here: the page Training reads this too.
"""

import fcntl
import json
import time
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from latentsync_core.errors import BadOption

STATE = "state.json"
PATIENCE = 1.0  # seconds; a reader holds the lock for an instant
KILLED = "the process was killed, or the machine went down"


class RunState(StrEnum):
    """What became of a run."""

    RUNNING = "running"
    FINISHED = "finished"  # its schedule came to its end
    STOPPED = "stopped"  # before that, by a signal, an error or a kill
    ENDED = "ended"  # of before there was state.json: it runs no more, and does not say why


class RunMark:
    """Within a `with` block, holds the lock of a run's folder; then leaves how the block ended.

    Args:
        run_dir: exists.
    """

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / STATE
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        """Take the lock.

        Raises:
            BadOption: if another process trains in this folder.
        """
        self._file = self._path.open("a+", encoding="utf-8")
        deadline = time.monotonic() + PATIENCE
        while not _try_lock(self._file, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                self._file.close()
                raise BadOption(f"{self._path.parent} is being trained in by another process")
            time.sleep(0.02)
        self._write(RunState.RUNNING)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self._write(RunState.FINISHED)
        else:
            self._write(RunState.STOPPED, f"{type(error).__name__}: {error}")
        assert self._file is not None
        fcntl.flock(self._file, fcntl.LOCK_UN)  # closing does not, while a loading process shares the file
        self._file.close()

    def _write(self, state: RunState, why: str = "") -> None:
        """In place, as the lock belongs to this very file."""
        assert self._file is not None
        self._file.truncate(0)
        self._file.write(json.dumps({"state": state, "why": why}) + "\n")
        self._file.flush()


def read_state(run_dir: Path) -> tuple[RunState, str] | None:
    """What became of the run of a folder, and why it was stopped; None if nothing tells."""
    try:
        with (run_dir / STATE).open(encoding="utf-8") as file:
            if not _try_lock(file, fcntl.LOCK_SH):
                return RunState.RUNNING, ""
            text = file.read()
    except OSError:
        return None
    try:
        said = json.loads(text)
        state, why = RunState(said["state"]), str(said["why"])
    except (ValueError, KeyError, TypeError):
        return RunState.STOPPED, KILLED
    return (RunState.STOPPED, KILLED) if state is RunState.RUNNING else (state, why)


def _try_lock(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
