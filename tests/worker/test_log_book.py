"""Log lines: one form everywhere, capped in Redis, followed by page and command line."""

import json
import subprocess
import sys
import threading
from pathlib import Path

from tests.worker.conftest import OWNER, REPOSITORY, wait_until
from worker.job import LogLine
from worker.job_queue import JobQueue
from worker.log_book import LogBook
from worker.settings import Settings


def test_a_line_goes_to_the_jobs_folder_its_stream_and_the_stream_of_all(queue: JobQueue):
    folder = queue.open_draft(OWNER)
    queue.book.say("hello", folder.job_id)
    assert [line.message for line in queue.book.tail(folder.job_id, 10)] == ["hello"]
    assert [line.message for line in queue.book.tail(None, 10)] == ["hello"]
    assert json.loads(folder.log.read_text(encoding="utf-8"))["message"] == "hello"


def test_the_streams_are_capped(queue: JobQueue, settings: Settings):
    book = LogBook(queue.store.redis, settings.model_copy(update={"log_stream_cap": 100, "log_job_cap": 50}))
    folder = queue.open_draft(OWNER)
    for number in range(1000):
        book.say(str(number), folder.job_id)
    assert 100 <= queue.store.redis.xlen(f"{settings.queue_name}:log") <= 300  # capped by whole blocks of 100
    assert 50 <= queue.store.redis.xlen(f"{settings.queue_name}:log:{folder.job_id}") <= 200
    assert [line.message for line in book.tail(folder.job_id, 2)] == ["998", "999"]


def test_the_tail_comes_from_the_file_when_redis_has_lost_it(queue: JobQueue, settings: Settings):
    folder = queue.open_draft(OWNER)
    for number in range(5):
        queue.book.say(str(number), folder.job_id)
    queue.store.redis.delete(f"{settings.queue_name}:log:{folder.job_id}")
    assert [line.message for line in queue.log_tail(folder.job_id, 2)] == ["3", "4"]


def test_following_gives_the_last_lines_and_then_new_ones(queue: JobQueue):
    for number in range(5):
        queue.book.say(f"old {number}")
    seen: list[str] = []

    def follow() -> None:
        seen.extend(line.message for line in queue.follow_log(lines=2, seconds=2.0))

    follower = threading.Thread(target=follow)
    follower.start()
    wait_until(lambda: len(seen) >= 0, 1)
    threading.Event().wait(0.5)
    queue.book.say("new")
    follower.join(10)
    assert seen == ["old 3", "old 4", "new"]


def test_a_line_for_people_carries_job_and_traceback():
    line = LogLine(message="broke", job="abcdef0123456789", level="ERROR", traceback="Traceback ...\n")
    assert "ERROR   [abcdef01] worker: broke\nTraceback ..." in line.for_people()


def test_the_command_line_shows_logs_and_status(queue: JobQueue, settings: Settings):
    queue.book.say("one line")
    logs = run_command_line(settings, "logs", "--json")
    assert json.loads(logs.stdout)["message"] == "one line"
    status = run_command_line(settings, "status")
    assert "0 queued, 0 running" in status.stdout
    assert "python -m worker" in status.stdout


def test_the_command_line_says_in_words_that_redis_is_not_there(settings: Settings, tmp_path: Path):
    away = settings.model_copy(update={"redis_url": f"unix://{tmp_path}/nowhere.sock"})
    done = run_command_line(away, "status")
    assert done.returncode == 2
    assert "does not answer" in done.stderr
    assert "Traceback" not in done.stderr


def run_command_line(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    values = {"REDIS_URL": settings.redis_url, "QUEUE_NAME": settings.queue_name, "DATA_DIR": str(settings.data_dir)}
    environment = {"PATH": "/usr/bin:/bin", **{f"LIPSYNC_{name}": value for name, value in values.items()}}
    return subprocess.run(
        [sys.executable, "-m", "worker", *arguments],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
