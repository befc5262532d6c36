"""Background threads keep order, hold little, pass errors on and end when told."""

import threading
import time

import pytest

from latentsync_core.streaming import BackgroundSink, Prefetcher


def test_items_come_in_order_and_few_are_held():
    made = []

    def make():
        for number in range(50):
            made.append(number)
            yield number

    with Prefetcher(make(), 3) as items:
        for number in items:
            time.sleep(0.001)
            assert len(made) - number <= 3 + 2
    assert made == list(range(50))


def test_an_error_of_the_producer_comes_after_its_items():
    def make():
        yield 1
        raise OSError("broken")

    received = []
    with pytest.raises(OSError, match="broken"), Prefetcher(make(), 3) as items:
        received.extend(items)


def test_leaving_early_ends_the_thread():
    with Prefetcher(iter(range(10**9)), 2) as items:
        assert next(iter(items)) == 0
    assert not any(thread.name == "prefetch" for thread in threading.enumerate())


def test_waiting_is_a_chance_to_cancel():
    never = threading.Event()

    def make():
        never.wait(5)
        yield 1

    def cancel():
        never.set()
        raise KeyboardInterrupt

    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt), Prefetcher(make(), 2, cancel) as items:
        list(items)
    assert time.perf_counter() - start < 1


def test_a_sink_takes_everything_before_it_is_left():
    taken = []
    with BackgroundSink(taken.append, 2) as sink:
        for number in range(100):
            sink.put(number)
    assert taken == list(range(100))


def test_an_error_of_the_sink_reaches_the_producer():
    def consume(number: int):
        if number == 5:
            raise OSError("disk full")

    def produce():
        with BackgroundSink(consume, 2) as sink:
            for number in range(10**6):
                sink.put(number)

    with pytest.raises(OSError, match="disk full"):
        produce()


def test_an_error_on_the_last_item_is_not_lost():
    def consume(number: int):
        raise OSError("disk full")

    def produce():
        with BackgroundSink(consume, 2) as sink:
            sink.put(1)

    with pytest.raises(OSError, match="disk full"):
        produce()


def test_a_sink_left_by_an_error_drops_what_waits():
    taken = []

    def consume(number: int):
        time.sleep(0.02)
        taken.append(number)

    def produce():
        with BackgroundSink(consume, 10) as sink:
            for number in range(10):
                sink.put(number)
            raise KeyError("stop")

    with pytest.raises(KeyError):
        produce()
    assert len(taken) < 5
