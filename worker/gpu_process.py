"""GpuProcess: the warm child as its parent sees it: start, talk, cancel, kill.

The queue process never loads torch and never forks a process that has: the child is a fresh interpreter, the leader
of its own process group, so that a kill takes its ffmpeg processes along.
"""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from multiprocessing.connection import Connection
from pathlib import Path

from worker.messages import (
    Advanced,
    Alive,
    CancelRun,
    ChildConfig,
    Ended,
    LoadModel,
    Logged,
    RunRequest,
    StartRun,
    receive,
    send,
)
from worker.settings import Settings

logger = logging.getLogger("worker.gpu_process")

EXIT_SECONDS = 5.0
OUTPUT_LINES_KEPT = 60
TALKATIVE_SECONDS = 0.2  # a flood of messages keeps `poll` from returning no longer than this


class ChildLost(Exception):
    """The child is dead, or as good as dead (and was killed then); the message says what is known."""


class GpuProcess:
    """One child at a time. Not for threads: one thread starts it and talks to it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._runs = 0
        self._heard_at = 0.0
        self._has_spoken = False
        self._output: deque[str] = deque(maxlen=OUTPUT_LINES_KEPT)
        self._reader: threading.Thread | None = None
        self.models: list[str] = []
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """Of the living child."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def is_started(self) -> bool:
        """True from the start of a child until its end is known."""
        return self._pipe is not None

    @property
    def has_spoken(self) -> bool:
        """True once the living child has said something."""
        return self._has_spoken

    # --- life ---------------------------------------------------------------------------------------------------

    def ensure_started(self) -> None:
        """Start a child unless one lives; returns before it is ready (messages wait in the pipe)."""
        if self.pid is not None:
            return
        self.kill()  # what a dead one left behind
        ours, theirs = socket.socketpair()
        config = ChildConfig(
            pipeline=self._settings.pipeline,
            device=self._settings.device,
            model_cache_dir=str(self._settings.model_cache_dir) if self._settings.model_cache_dir else None,
            warm_models=self._settings.warm_models,
            download_models=self._settings.download_models,
            log_level=self._settings.log_level,
        )
        arguments = [sys.executable, "-m", "worker.gpu_child", str(theirs.fileno()), str(os.getpid())]
        with theirs:
            self._process = subprocess.Popen(
                [*arguments, config.model_dump_json()],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=child_environment(),
            )
        self._pipe = Connection(ours.detach())
        self._heard_at = time.monotonic()
        self._has_spoken = False
        self.starts += 1
        self._output = deque(maxlen=OUTPUT_LINES_KEPT)
        self._reader = threading.Thread(target=_read_output, args=(self._process, self._output), daemon=True)
        self._reader.start()
        logger.info("started the model process, pid %d", self._process.pid)
        if self._settings.preload:
            self._say(LoadModel(model=self._settings.default_model))

    def kill(self) -> None:
        """End the child and its ffmpeg processes now; nothing happens if there is none."""
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)  # the group outlives its leader while members live
        except ProcessLookupError:
            logger.debug("the model process %d is gone already", self._process.pid)
        self._process.wait(EXIT_SECONDS)
        self._forget()

    # --- talk ---------------------------------------------------------------------------------------------------

    def start_run(self, request: RunRequest) -> int:
        """Have the pipeline run; gives the number of the run. Its messages come by `poll`.

        Raises:
            ChildLost.
        """
        self.ensure_started()
        self._runs += 1
        self._say(StartRun(run=self._runs, request=request))
        return self._runs

    def ask_cancel(self, run: int) -> None:
        """Have a run stop at its next step.

        Raises:
            ChildLost.
        """
        self._say(CancelRun(run=run))

    def poll(self, seconds: float) -> list[Advanced | Ended]:
        """Wait up to `seconds` for messages on runs and give all that have come; log lines are logged.

        Raises:
            ChildLost: if the child died, or has been silent for too long and was killed for it.
        """
        news: list[Advanced | Ended] = []
        if self._pipe is None:
            raise ChildLost("there is no model process")
        deadline = time.monotonic() + seconds
        try:
            while self._pipe.poll(0 if news else max(0.0, deadline - time.monotonic())):
                message = receive(self._pipe)
                self._heard_at, self._has_spoken = time.monotonic(), True
                if isinstance(message, Advanced | Ended):
                    news.append(message)
                elif isinstance(message, Alive):
                    self.models = message.models
                elif isinstance(message, Logged):
                    _log(message)
                if time.monotonic() > deadline + TALKATIVE_SECONDS:
                    break
        except (EOFError, OSError):
            if news:
                return news  # the next call meets the end of the pipe again
            raise ChildLost(self._how_it_ended()) from None
        self._check_silence()
        return news

    def _say(self, message: LoadModel | StartRun | CancelRun) -> None:
        if self._pipe is None:
            raise ChildLost("there is no model process")
        try:
            send(self._pipe, message)
        except OSError:
            raise ChildLost(self._how_it_ended()) from None

    def _check_silence(self) -> None:
        patience = self._settings.child_silence_timeout if self._has_spoken else self._settings.child_start_timeout
        silent = time.monotonic() - self._heard_at
        if silent > patience:
            self.kill()
            raise ChildLost(f"it gave no sign of life for {silent:.0f} s and was killed")

    def _how_it_ended(self) -> str:
        """Say how the child ended; it has closed the pipe already."""
        assert self._process is not None
        try:
            code = self._process.wait(EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return "it closed its pipe and was killed"
        reason = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        self.kill()  # its ffmpeg processes
        self._log_last_output()
        return reason

    def _forget(self) -> None:
        if self._pipe is not None:
            self._pipe.close()
        self._pipe = self._process = None
        self.models = []

    def _log_last_output(self) -> None:
        """Log what a dead child printed last, such as the stack that faulthandler leaves behind."""
        if self._reader is not None:
            self._reader.join(1.0)
        if self._output:
            logger.warning("last output of the model process", extra={"child_traceback": "\n".join(self._output)})


def _read_output(process: subprocess.Popen[bytes], kept: deque[str]) -> None:
    """Keep the last lines that the child and its libraries print (a thread's work; ends with the child)."""
    assert process.stdout is not None
    with process.stdout as output:
        for raw in output:
            text = raw.decode("utf-8", "replace").rstrip()
            if text:
                kept.append(text)
                logger.debug("output: %s", text)


def child_environment() -> dict[str, str]:
    """This process's environment; the child finds our packages wherever it was started.

    OpenMP's barriers spin by default, which on a busy machine makes a denoising step many times slower.
    """
    root = str(Path(__file__).resolve().parent.parent)
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"OMP_WAIT_POLICY": "PASSIVE", **os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}


def _log(message: Logged) -> None:
    line = message.line
    level = logging.getLevelNamesMapping().get(line.level, logging.INFO)
    logging.getLogger(line.source).log(level, "%s", line.message, extra={"child_traceback": line.traceback})
