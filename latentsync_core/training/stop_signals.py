"""A clean end on Ctrl-C and SIGTERM: the first signal asks, the second one acts as ever."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """Within a `with` block of the main thread, remembers the first SIGINT or SIGTERM in place of dying of it.

    Signals that the process ignores (SIGINT behind a shell's `&`) stay ignored; other threads change nothing.

    Attributes:
        received: name of the signal, "" before.
    """

    def __init__(self) -> None:
        self.received = ""
        self._handlers_before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                before = signal.getsignal(number)
                if before not in (signal.SIG_IGN, None):  # None: not set from Python, so nothing to go back to
                    self._handlers_before[number] = before
                    signal.signal(number, self._remember)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._give_back()

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number).name
        self._give_back()

    def _give_back(self) -> None:
        for number, handler in self._handlers_before.items():
            signal.signal(number, handler)
        self._handlers_before = {}
