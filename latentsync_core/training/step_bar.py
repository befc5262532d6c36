"""How far a run is: a bar in a terminal; elsewhere lines in the log."""

import logging
import math
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

log = logging.getLogger(__name__)

FORMAT = "{percentage:3.0f}%|{bar}| step {n_fmt} of {total_fmt}{postfix}"


class StepBar:
    """Step, loss, steps per second and time left of a run; of one of several processes only.

    Args:
        steps: at most.
        max_minutes: of training in all; infinite = no limit.
        step, seconds: done already, in runs before.
        is_main: whether this process is the one that shows it.
    """

    def __init__(self, steps: int, max_minutes: float, step: int, seconds: float, is_main: bool) -> None:
        self._steps, self._max_seconds = steps, 60 * max_minutes
        self._first, self._start = step, seconds
        self._is_main = is_main
        self._open = ExitStack()
        self._bar: tqdm | None = None

    def __enter__(self) -> Self:
        hide = None if self._is_main else True  # None: unless stderr is a terminal
        bar = tqdm(total=self._steps, initial=self._first, bar_format=FORMAT, disable=hide)
        self._bar = self._open.enter_context(bar)
        if not bar.disable:
            self._open.enter_context(logging_redirect_tqdm())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open.close()

    def show(self, step: int, seconds: float, loss: float) -> None:
        """Move the bar to a step."""
        assert self._bar is not None
        if not self._bar.disable:
            self._bar.set_postfix_str(f"loss {loss:.4g}, {self.speed_words(step, seconds)}", refresh=False)
            self._bar.update(step - self._bar.n)

    def note(self, step: int, seconds: float, loss: float) -> None:
        """Leave a line in the log where there is no bar."""
        assert self._bar is not None
        if self._bar.disable and self._is_main:
            log.info("step %d of %d: loss %.4g, %s", step, self._steps, loss, self.speed_words(step, seconds))

    def speed_words(self, step: int, seconds: float) -> str:
        """Speed since this start, and what is left by steps or by the clock: "1.25 steps/s, 03:20 left"."""
        if step <= self._first or seconds <= self._start:
            return "- steps/s"
        rate = (step - self._first) / (seconds - self._start)
        left = min((self._steps - step) / rate, self._max_seconds - seconds)
        words = tqdm.format_interval(max(0, math.ceil(left)))
        return f"{rate:.3g} steps/s, {words} left"
