"""What a run costs: seconds per stage over all threads, and peak memory of the process and its children."""

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from latentsync_core.background_thread import BackgroundThread

SAMPLE_SECONDS = 0.2
MIB = 2**20


class StageClock:
    """Adds up the busy seconds of each stage; stages that overlap add up to more than the time that passed."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = defaultdict(float)
        self._lock = threading.Lock()

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Count the time inside the `with` block for a stage; safe from any thread."""
        start = time.perf_counter()
        try:
            yield
        finally:
            with self._lock:
                self._seconds[stage] += time.perf_counter() - start

    @property
    def seconds(self) -> dict[str, float]:
        """Busy seconds of each stage so far, rounded to milliseconds."""
        with self._lock:
            return {stage: round(seconds, 3) for stage, seconds in self._seconds.items()}


class MemoryWatch(BackgroundThread):
    """Samples the resident memory of this process and all its children while the `with` block runs.

    Attributes:
        peak_mib: the largest sum seen, in MiB.
    """

    def __init__(self) -> None:
        super().__init__("memory-watch")
        self.peak_mib = 0.0

    def _run(self) -> None:
        while True:
            self.peak_mib = max(self.peak_mib, resident_mib())
            if self._stop.wait(SAMPLE_SECONDS):
                return


def resident_mib() -> float:
    """Give the resident memory of this process and its children, in MiB."""
    process = psutil.Process()
    total, own_name = process.memory_info().rss, process.name()
    for child in process.children(recursive=True):
        try:
            if child.name() != own_name:  # one that has not become ffmpeg yet still shows our own pages as its own
                total += child.memory_info().rss
        except psutil.NoSuchProcess:  # it has just ended
            continue
    return float(total / MIB)
