"""The whole studio for real: redis-server, `python -m worker`, the web page, and Chromium to look at it."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from skimage import data

from tests.conftest import run_ffmpeg
from tests.private_redis import private_redis
from worker.job_queue import JobQueue
from worker.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[2]
CHROMIUM = "/usr/bin/chromium"
CHROMIUM_ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
]  # fmt: skip
SECONDS_TO_START = 120.0  # torch and the model take their time on a busy machine
PATIENCE_MILLISECONDS = 90_000  # so does a browser; on an idle one a page is there within two seconds
expect.set_options(timeout=PATIENCE_MILLISECONDS)


@dataclass(frozen=True)
class Studio:
    """A running studio: where its page is, its queue, and what its processes said."""

    url: str
    queue: JobQueue
    logs: Path

    def job_id(self, page: Page) -> str:
        """The job whose page this is."""
        return page.url.rpartition("id=")[2]


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    folder = tmp_path_factory.mktemp("e2e")
    port = _free_port()
    with private_redis(folder) as redis_url:
        settings = {"REDIS_URL": redis_url, "DATA_DIR": str(folder / "jobs"), "DEVICE": "cpu"}
        environment = {**os.environ, **{f"LIPSYNC_{key}": value for key, value in settings.items()}}
        environment |= {"OMP_NUM_THREADS": "2", "PYTHONPATH": f"{REPOSITORY}:{os.environ.get('PYTHONPATH', '')}"}
        page = ["streamlit", "run", "app.py", "--server.port", str(port), "--server.address", "127.0.0.1"]
        with _running(["worker"], environment, folder), _running(page, environment, folder):
            queue = JobQueue(Settings(redis_url=redis_url, data_dir=folder / "jobs"))
            _wait_for(lambda: _answers(f"http://127.0.0.1:{port}/_stcore/health"), "the page", folder)
            _wait_for(lambda: bool(queue.workers()), "a worker", folder)
            yield Studio(f"http://127.0.0.1:{port}", queue, folder)


@contextmanager
def _running(module_and_arguments: list[str], environment: dict[str, str], folder: Path) -> Iterator[None]:
    """Run `python -m ...` while the block runs, and end it as a service manager would."""
    command = [sys.executable, "-m", *module_and_arguments]
    with (folder / f"{module_and_arguments[0]}.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)


def _wait_for(condition, what: str, folder: Path) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while not condition():
        logs = "\n".join(path.read_text()[-3000:] for path in folder.glob("*.log"))
        assert time.monotonic() < deadline, f"{what} did not come up:\n{logs}"
        time.sleep(0.2)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except (URLError, TimeoutError, ConnectionError):
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def visitor(chromium: Browser) -> Iterator[BrowserContext]:
    """A browser of one person, with cookies (and Streamlit's many files in its cache) of its own."""
    context = chromium.new_context(viewport={"width": 1280, "height": 1000})
    context.set_default_timeout(PATIENCE_MILLISECONDS)
    yield context
    context.close()


@pytest.fixture
def page(visitor: BrowserContext) -> Iterator[Page]:
    """A tab of the visitor's."""
    page = visitor.new_page()
    yield page
    page.close()


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """face.png, face.mp4 (1.2 s, drifting), speech.wav (1.2 s), long.wav (12 s) and letter.mp4 (a text)."""
    folder = tmp_path_factory.mktemp("media")
    Image.fromarray(data.astronaut()).crop((40, 0, 400, 300)).save(folder / "face.png")  # public domain, NASA
    drift = "zoompan=z='1.02+0.001*on':d=1:s=360x300:fps=25"
    run_ffmpeg(
        *("-loop", "1", "-i", folder / "face.png", "-t", "1.2", "-vf", drift, "-c:v", "libx264"),
        *("-pix_fmt", "yuv420p", folder / "face.mp4"),
    )
    words = "The quick brown fox jumps over the lazy dog, and then it speaks of this and that until evening comes. "
    subprocess.run(["espeak-ng", "-w", folder / "words.wav", words * 3], check=True, timeout=30)
    run_ffmpeg("-i", folder / "words.wav", "-t", "1.2", folder / "speech.wav")
    run_ffmpeg("-i", folder / "words.wav", "-t", "12", folder / "long.wav")
    (folder / "letter.mp4").write_text("Dear reader, this is not a film.")
    return folder
