"""A real redis-server on a private socket, real media files, and real `python -m worker` processes."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.worker.scripted_pipeline import Script
from worker.job import JobState, LipSyncJob
from worker.job_queue import JobQueue
from worker.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[2]
OWNER = "browser-one"
SCRIPTED = "tests.worker.scripted_pipeline:ScriptedPipeline"


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("redis")
    socket = folder / "redis.sock"
    arguments = ["redis-server", "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder)]
    server = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    client = Redis(unix_socket_path=str(socket))
    try:
        wait_until(lambda: socket.exists() and _answers(client), 10)
        yield f"unix://{socket}"
    finally:
        client.close()
        server.terminate()
        server.wait(10)


def _answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except RedisConnectionError:
        return False


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One second of a test picture, 64 x 64 at 25 fps, H.264."""
    path = tmp_path_factory.mktemp("media") / "clip.mp4"
    _ffmpeg("-f", "lavfi", "-i", "testsrc=size=64x64:rate=25:duration=1", "-pix_fmt", "yuv420p", str(path))
    return path


@pytest.fixture(scope="session")
def tone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One second of 440 Hz, 16 kHz mono."""
    path = tmp_path_factory.mktemp("media") / "tone.wav"
    _ffmpeg("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=16000:duration=1", str(path))
    return path


def _ffmpeg(*arguments: str) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *arguments], check=True, timeout=30)


@pytest.fixture
def settings(redis_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    """A deployment of the test's own: its own key prefix, its own data folder, and little patience."""
    name = "".join(char if char.isalnum() else "-" for char in request.node.name)[:60]
    return make_settings(redis_url, tmp_path / "jobs", f"{name}-{os.urandom(3).hex()}")


def make_settings(redis_url: str, data_dir: Path, queue_name: str) -> Settings:
    return Settings(
        redis_url=redis_url,
        queue_name=queue_name,
        data_dir=data_dir,
        pipeline=SCRIPTED,
        lease_seconds=2.0,
        log_level="DEBUG",
        min_free_bytes=0,
    )


@pytest.fixture
def queue(settings: Settings) -> JobQueue:
    return JobQueue(settings)


@contextmanager
def running_worker(settings: Settings, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A real `python -m worker`; its stdout is `<data_dir>/../worker.log`."""
    environment = dict(os.environ)
    for name, value in settings.model_dump(mode="json", exclude_none=True).items():
        environment[f"LIPSYNC_{name.upper()}"] = str(value)
    log = settings.data_dir.parent / "worker.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "worker", *arguments],
            cwd=REPOSITORY,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(10)


@pytest.fixture(scope="module")
def service(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobQueue]:
    """A queue with one worker that a module's tests share: what they do must leave its child warm, or say so."""
    folder = tmp_path_factory.mktemp("service")
    settings = make_settings(redis_url, folder / "jobs", f"service-{os.urandom(3).hex()}")
    queue = JobQueue(settings)
    with running_worker(settings):
        wait_until(lambda: any(worker.models for worker in queue.workers()), 20)
        yield queue
    sys.stdout.write((folder / "worker.log").read_text(encoding="utf-8")[-20_000:])


@pytest.fixture(scope="session")
def uploads(redis_url: str, clip: Path, tone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A draft's folder with both uploads in it, looked at once for all tests."""
    queue = JobQueue(make_settings(redis_url, tmp_path_factory.mktemp("uploads"), "uploads"))
    folder = queue.open_draft(OWNER)
    folder.save_upload("video", clip, clip.name)
    folder.save_upload("audio", tone, tone.name)
    return folder.path


@pytest.fixture
def submit(uploads: Path) -> Callable[..., LipSyncJob]:
    """Submit a job that does what a script says: submit(queue, Script(...), owner=...)."""

    def submit_script(queue: JobQueue, script: Script, owner: str = OWNER, model: str = "mini") -> LipSyncJob:
        folder = queue.open_draft(owner)
        for file in uploads.glob("input_*"):
            shutil.copy(file, folder.path)
        script.write(folder.path)
        return queue.submit_draft(folder, owner, model=model)

    return submit_script


def wait_until(condition: Callable[[], bool], seconds: float) -> float:
    """Wait for something to become true; gives the seconds it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"not so within {seconds} s"
        time.sleep(0.02)
    return time.monotonic() - began


def wait_for_state(queue: JobQueue, job: LipSyncJob, *states: JobState, seconds: float = 20) -> LipSyncJob:
    wait_until(lambda: queue.read(job.id).state in states, seconds)
    return queue.read(job.id)


def lines_of(queue: JobQueue, job: LipSyncJob, file: str) -> list[int]:
    """Numbers that the scripted pipeline noted in a file of the job's folder."""
    path = queue.folder(job.id).path / file
    return [int(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
