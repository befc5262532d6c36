"""Overlapping the stages of a run: threads, bounded queues, and errors that end up in the main thread.

Two pieces: `Prefetcher` runs a generator ahead of its consumer, `BackgroundSink` hands items to a function behind its
producer. Both hold at most a few items, pass on whatever went wrong, and stop at once when closed.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, Full, Queue
from types import TracebackType
from typing import Generic, TypeVar

from latentsync_core.background_thread import BackgroundThread

Item = TypeVar("Item")

POLL_SECONDS = 0.05  # how soon a waiting thread notices that it should stop
JOIN_SECONDS = 10.0


class _End:
    """Marks the end of a stream in a queue."""


class Stopped(Exception):
    """Inside a background thread: the run is over, nobody waits for more."""


class Prefetcher(BackgroundThread, Generic[Item]):
    """Iterates over `items` in a thread, at most `max_ahead` items ahead of whoever iterates over this.

    Args:
        items: what to give; consumed and closed in the thread.
        max_ahead: items held between the two.
        while_waiting: called in the consumer's thread, some 20 times a second, while no item is there.
    """

    def __init__(self, items: Iterable[Item], max_ahead: int, while_waiting: Callable[[], None] = lambda: None) -> None:
        super().__init__("prefetch", JOIN_SECONDS)
        self._items, self._while_waiting = items, while_waiting
        self._queue: Queue[Item | _End] = Queue(max_ahead)
        self._error: BaseException | None = None

    def __iter__(self) -> Iterator[Item]:
        while True:
            try:
                item = self._queue.get(timeout=POLL_SECONDS)
            except Empty:
                self._while_waiting()
                continue
            if isinstance(item, _End):
                if self._error is not None:
                    raise self._error
                return
            yield item

    def _run(self) -> None:
        try:
            for item in self._items:
                put_until(self._queue, item, self._stop)
        except Stopped:
            return
        except BaseException as error:  # noqa: BLE001 - raised again in the consumer's thread
            self._error = error
        try:
            put_until(self._queue, _End(), self._stop)
        except Stopped:
            return


class BackgroundSink(BackgroundThread, Generic[Item]):
    """Hands items, in order, to a function that runs in a thread.

    Leaving the `with` block normally waits for the last item; leaving it by an error drops what is waiting.

    Args:
        consume: called with each item in the thread.
        max_behind: items held between the two.
        while_waiting: called in the producer's thread, some 20 times a second, while the queue is full.
    """

    def __init__(
        self, consume: Callable[[Item], None], max_behind: int, while_waiting: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__("sink", JOIN_SECONDS)
        self._consume, self._while_waiting = consume, while_waiting
        self._queue: Queue[Item | _End] = Queue(max_behind)
        self._error: BaseException | None = None

    def put(self, item: Item) -> None:
        """Hand over one item; raises what went wrong with an earlier one."""
        self._put(item)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None:
            self._end_thread()
            return
        try:
            self._put(_End())
            while self._thread.is_alive():
                self._while_waiting()
                self._thread.join(POLL_SECONDS)
        finally:
            self._end_thread()
        if self._error is not None:
            raise self._error

    def _put(self, item: Item | _End) -> None:
        while True:
            if self._error is not None:
                raise self._error
            try:
                self._queue.put(item, timeout=POLL_SECONDS)
                return
            except Full:
                self._while_waiting()

    def _run(self) -> None:
        try:
            while True:
                item = get_until(self._queue, self._stop)
                if isinstance(item, _End):
                    return
                self._consume(item)
        except Stopped:
            return
        except BaseException as error:  # noqa: BLE001 - raised again in the producer's thread
            self._error = error


def put_until(queue: "Queue[Item]", item: Item, stop: threading.Event) -> None:
    """Put an item, waiting for room; raises Stopped when `stop` is set."""
    while not stop.is_set():
        try:
            queue.put(item, timeout=POLL_SECONDS)
            return
        except Full:
            continue
    raise Stopped


def get_until(queue: "Queue[Item]", stop: threading.Event) -> Item:
    """Get an item, waiting for one; raises Stopped when `stop` is set."""
    while not stop.is_set():
        try:
            return queue.get(timeout=POLL_SECONDS)
        except Empty:
            continue
    raise Stopped
