"""Supervise one run in the warm child: pass its progress on, stop it in time, bring it back after a crash."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

from worker.gpu_process import ChildLost, GpuProcess
from worker.messages import Advanced, Ended, RunRequest
from worker.settings import Settings

logger = logging.getLogger("worker.supervise")

POLL_SECONDS = 0.1


class Wish(Enum):
    """What shall become of the run."""

    GO_ON = auto()
    CANCEL = auto()  # the owner's
    STOP = auto()  # the worker's own: it is shut down


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        how: "stopped" is for another worker, or a later one, to go on with.
        error: class name of the error, or one of "Crashed", "TimedOut", "Stalled".
        is_typed: the message is meant for the user as it is.
    """

    how: Literal["finished", "failed", "cancelled", "stopped"]
    error: str | None = None
    is_typed: bool = False
    message: str | None = None
    warnings: tuple[str, ...] = ()


class Supervisor:
    """Sees one job through; see `run`."""

    def __init__(
        self,
        gpu: GpuProcess,
        settings: Settings,
        time_limit: float,
        on_progress: Callable[[Advanced], None],
        on_tick: Callable[[], Wish],
    ) -> None:
        """Prepare.

        Args:
            gpu: the warm child.
            settings: patience and limits.
            time_limit: seconds for the whole job.
            on_progress: called with every report of the child.
            on_tick: called about ten times a second; keeps heartbeats going and gives the wish.
        """
        self._gpu = gpu
        self._settings = settings
        self._time_limit = time_limit
        self._on_progress = on_progress
        self._on_tick = on_tick
        self._crashes = 0
        self._segments_done = self._segments_at_crash = 0
        self._latest = Advanced(run=0, stage="load")
        self._moved_at = 0.0

    def run(self, request: RunRequest) -> Outcome:
        """Run until it ends, is stopped, hangs, or has crashed too often."""
        deadline = time.monotonic() + self._time_limit
        while True:
            try:
                return self._run_once(request, deadline)
            except ChildLost as loss:
                logger.warning("the model process was lost: %s", loss)
                if self._count_crash() > self._settings.max_crashes:
                    return Outcome("failed", "Crashed", message=str(loss))
                logger.info("starting it again; the job goes on after segment %d", self._segments_done)

    def _run_once(self, request: RunRequest, deadline: float) -> Outcome:
        run = self._gpu.start_run(request)
        self._moved_at = time.monotonic()
        while True:
            for news in self._gpu.poll(POLL_SECONDS):
                if news.run != run:
                    continue  # the end of a run that was cancelled
                if isinstance(news, Ended):
                    return self._ended(news)
                self._take_in(news)
            wish = self._on_tick()
            if wish is not Wish.GO_ON:
                return self._stop(run, "cancelled" if wish is Wish.CANCEL else "stopped")
            overdue = self._overdue(deadline)
            if overdue is not None:
                self._gpu.kill()
                return overdue

    def _take_in(self, news: Advanced) -> None:
        if news.model_dump(exclude={"run"}) != self._latest.model_dump(exclude={"run"}):
            self._moved_at = time.monotonic()
        self._latest = news
        self._segments_done = max(self._segments_done, news.segments_done)  # a new run begins to tell at 0
        self._on_progress(news)

    def _stop(self, run: int, how: Literal["cancelled", "stopped"]) -> Outcome:
        """Have the run end at its next step; kill a child that does not obey in time."""
        grace_ends = time.monotonic() + self._settings.cancel_grace
        try:
            self._gpu.ask_cancel(run)
            while time.monotonic() < grace_ends:
                for news in self._gpu.poll(POLL_SECONDS):
                    if isinstance(news, Ended) and news.run == run:
                        return self._ended_while_stopped(news, how)
                self._on_tick()
        except ChildLost as loss:
            logger.warning("the model process was lost while its run was stopped: %s", loss)
            return Outcome(how)
        logger.warning("the model process did not stop within %.1f s: killed", self._settings.cancel_grace)
        self._gpu.kill()
        return Outcome(how)

    def _ended_while_stopped(self, end: Ended, how: Literal["cancelled", "stopped"]) -> Outcome:
        if end.how == "finished":  # it was faster
            return self._ended(end)
        if end.how == "broken":
            self._gpu.kill()
        return Outcome(how)

    def _ended(self, end: Ended) -> Outcome:
        if end.how == "broken":
            logger.error("%s: %s", end.error, end.message, extra={"child_traceback": end.traceback})
            self._gpu.kill()
            raise ChildLost(f"{end.error}: {end.message}")
        if end.how == "failed" and not end.is_typed:
            logger.error("%s: %s", end.error, end.message, extra={"child_traceback": end.traceback})
        if end.how == "cancelled":
            return Outcome("cancelled")
        return Outcome(end.how, end.error, end.is_typed, end.message, tuple(end.warnings))

    def _count_crash(self) -> int:
        if self._segments_done > self._segments_at_crash:
            self._crashes = 0
        self._segments_at_crash = self._segments_done
        self._crashes += 1
        return self._crashes

    def _overdue(self, deadline: float) -> Outcome | None:
        now = time.monotonic()
        if now > deadline:
            return Outcome("failed", "TimedOut", message=f"not done after {self._time_limit:.0f} s")
        is_loading = self._latest.stage == "load"
        patience = self._settings.load_timeout if is_loading else self._settings.stall_timeout
        if now - self._moved_at > patience:
            stage = self._latest.stage
            return Outcome("failed", "Stalled", message=f"no progress in stage {stage!r} for {patience:.0f} s")
        return None
