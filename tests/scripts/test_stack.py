"""The stack with a real Redis and small stand-ins for the other processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from redis import Redis

from scripts.stack import Stack, StackError, running_stack
from tests.conftest import REPOSITORY

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture(autouse=True)
def no_configured_redis(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LIPSYNC_REDIS_URL", raising=False)
    monkeypatch.chdir(tmp_path)  # away from a developer's .env


def test_a_private_redis_runs_while_the_block_runs(tmp_path: Path):
    with running_stack(tmp_path / "run") as stack:
        stack.start_redis()
        url = stack.environment["LIPSYNC_REDIS_URL"]
        assert Redis.from_url(url).ping()
        [redis] = stack.running
    assert not redis.process.is_running()
    assert list((tmp_path / "run").glob("*.pid")) == []


def test_what_redis_held_is_there_the_next_time(tmp_path: Path):
    with running_stack(tmp_path / "run") as stack:
        stack.start_redis()
        Redis.from_url(stack.environment["LIPSYNC_REDIS_URL"]).set("job", "kept")
    with running_stack(tmp_path / "run") as stack:
        stack.start_redis()
        assert Redis.from_url(stack.environment["LIPSYNC_REDIS_URL"]).get("job") == b"kept"


def test_a_configured_redis_is_used_and_none_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LIPSYNC_REDIS_URL", "redis://example.invalid:6379/0")
    with running_stack(tmp_path / "run") as stack:
        stack.start_redis()
        assert stack.running == []


def test_a_long_folder_name_is_no_obstacle_for_the_socket(tmp_path: Path):
    with running_stack(tmp_path / ("long" * 30)) as stack:
        stack.start_redis()
        assert Redis.from_url(stack.environment["LIPSYNC_REDIS_URL"]).ping()


def test_what_runs_already_is_used_and_left_running(tmp_path: Path):
    first = Stack(tmp_path / "run")
    first.start_redis()
    try:
        with running_stack(tmp_path / "run") as second:
            second.start_redis()
            assert second.running[0].process.pid == first.running[0].process.pid
        assert Redis.from_url(first.environment["LIPSYNC_REDIS_URL"]).ping()
    finally:
        assert Stack(tmp_path / "run").stop_all() == ["redis"]
    assert Stack(tmp_path / "run").stop_all() == []


def test_a_process_id_that_now_belongs_to_something_else_is_left_alone(tmp_path: Path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "redis.pid").write_text(f"{os.getpid()} 12345.0\n")
    assert Stack(tmp_path / "run").stop_all() == []


def test_a_process_that_ends_by_itself_is_told_with_its_last_words(tmp_path: Path):
    dying = [sys.executable, "-c", "import sys; sys.exit('no such device')"]
    with running_stack(tmp_path / "run") as stack, pytest.raises(StackError, match=r"(?s)worker has ended.*no such"):
        stack._start("worker", dying, is_ready=lambda: False)


def test_a_run_folder_serves_one_stack_at_a_time(tmp_path: Path):
    with (
        running_stack(tmp_path / "run"),
        pytest.raises(StackError, match="in use"),
        running_stack(tmp_path / "run"),
    ):
        pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_stops_everything_that_was_started(tmp_path: Path, number: signal.Signals):
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom scripts.stack import running_stack\n"
        f"with running_stack(Path({str(tmp_path / 'run')!r})) as stack:\n"
        f"    stack.start_redis()\n    stack._start('worker', {SLEEP!r}, is_ready=lambda: True)\n"
        "    sys.stdout.write(' '.join(str(r.process.pid) for r in stack.running) + '\\n')\n    sys.stdout.flush()\n"
        "    time.sleep(60)\n"
    )
    program = subprocess.Popen(
        [sys.executable, "-c", code], cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert program.stdout is not None
    pids = [int(pid) for pid in program.stdout.readline().split()]
    assert len(pids) == 2
    program.send_signal(number)
    program.wait(30)
    deadline = time.monotonic() + 10
    while any(map(psutil.pid_exists, pids)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [pid for pid in pids if psutil.pid_exists(pid)] == []
