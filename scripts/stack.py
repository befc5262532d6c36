"""The studio's processes on one machine: a private Redis, a worker, the page; started in order, stopped in reverse.

A private Redis is started only if none is configured by LIPSYNC_REDIS_URL; it listens on a Unix socket that nobody
else on the machine can open. What runs is written down in a run folder (`.run/`), so that a second call finds it and
`make stop` ends it. Outputs of the processes go to log files there.
"""

import fcntl
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from urllib.error import URLError

import psutil
from redis import Redis
from redis.exceptions import RedisError

from worker.job_queue import JobQueue
from worker.settings import Settings

REPOSITORY = Path(__file__).resolve().parent.parent
RUN_FOLDER = REPOSITORY / ".run"
SOCKET_PATH_LIMIT = 100  # bytes; the kernel takes 107
START_SECONDS = 180.0  # torch from a cold disk on a busy machine
STOP_SECONDS = 25.0  # a worker gives its job back before it ends
LOG_LINES_SHOWN = 25


class StackError(Exception):
    """A process did not come up or ended by itself; the message says which and shows its last words."""


@dataclass(frozen=True)
class Running:
    """One process that this program started, or found started by an earlier call."""

    name: str
    process: psutil.Process
    was_here: bool = False


class Stack:
    """The processes of one run folder; see `running_stack`."""

    def __init__(self, run_folder: Path, settings: Mapping[str, str] | None = None) -> None:
        """Prepare.

        Args:
            run_folder: for sockets, process ids and logs.
            settings: further environment variables for what is started.
        """
        self.run_folder = run_folder
        self.environment = {**os.environ, **(settings or {})}
        self.environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle threads sleep instead of spinning
        self.running: list[Running] = []
        run_folder.mkdir(parents=True, exist_ok=True)

    def start_redis(self) -> None:
        """Start the private Redis, unless one is configured; its URL is then in `environment`."""
        configured = Settings()  # from the environment or `.env`
        if "redis_url" in configured.model_fields_set:
            self.environment["LIPSYNC_REDIS_URL"] = configured.redis_url
            return
        socket, data = self._redis_socket(), self.run_folder / "redis"
        data.mkdir(exist_ok=True)
        self.environment["LIPSYNC_REDIS_URL"] = f"unix://{socket}"
        self._start(
            "redis",
            [
                *("redis-server", "--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700"),
                *("--dir", str(data), "--appendonly", "yes", "--save", "", "--daemonize", "no"),
            ],
            lambda: _redis_answers(socket),
        )

    def start_worker(self) -> None:
        """Start one worker and wait until the queue knows it."""
        self._start("worker", [sys.executable, "-m", "worker"], self._worker_is_there)

    def start_page(self, port: int) -> None:
        """Start the page on a port of this machine and wait until it answers.

        Only this machine can open it, unless STREAMLIT_SERVER_ADDRESS says otherwise.
        """
        self.environment.setdefault("STREAMLIT_SERVER_ADDRESS", "127.0.0.1")
        self._start(
            "page",
            [
                *(sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)),
                *("--server.headless", "true"),
            ],
            lambda: _page_answers(port),
        )

    def check(self) -> None:
        """Raise StackError if a process has ended."""
        for running in self.running:
            if not _is_alive(running.process):
                raise StackError(f"{running.name} has ended.\n{self.last_words(running.name)}")

    def stop(self) -> None:
        """Stop what this stack started, the last first; what was there before goes on."""
        while self.running:
            running = self.running.pop()
            if not running.was_here:
                self._stop(running)

    def stop_all(self) -> list[str]:
        """Stop whatever an earlier call left running in this run folder; gives the names."""
        stopped = []
        for name in ("page", "worker", "redis"):
            found = self._find(name)
            if found is not None:
                self._stop(found)
                stopped.append(name)
        return stopped

    def last_words(self, name: str) -> str:
        """The end of a process's log."""
        log = self._log(name)
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
        return "\n".join([f"--- {log}", *lines[-LOG_LINES_SHOWN:]])

    def _start(self, name: str, command: list[str], is_ready: Callable[[], bool]) -> None:
        found = self._find(name)
        if found is not None:
            self.running.append(found)
        else:
            with self._log(name).open("wb") as log:
                child = subprocess.Popen(  # in a session of its own: Ctrl-C reaches us, and we stop it in order
                    command,
                    cwd=REPOSITORY,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            process = psutil.Process(child.pid)
            self._note(name).write_text(f"{child.pid} {process.create_time()}\n")
            self.running.append(Running(name, process))
        deadline = time.monotonic() + START_SECONDS
        while not is_ready():
            self.check()
            if time.monotonic() > deadline:
                raise StackError(f"{name} did not come up in {START_SECONDS:.0f} s.\n{self.last_words(name)}")
            time.sleep(0.2)

    def _stop(self, running: Running) -> None:
        family = [running.process]
        try:
            family += running.process.children(recursive=True)
            running.process.terminate()
            running.process.wait(STOP_SECONDS)
        except psutil.NoSuchProcess:
            pass  # it ended by itself meanwhile
        except psutil.TimeoutExpired:
            running.process.kill()
        for process in family:
            if _is_alive(process):
                process.kill()
        self._note(running.name).unlink(missing_ok=True)

    def _find(self, name: str) -> Running | None:
        """The process that an earlier call wrote down, if it is still that one."""
        try:
            pid, created = self._note(name).read_text().split()
            process = psutil.Process(int(pid))
            is_same = abs(process.create_time() - float(created)) < 1.0
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
            return None
        return Running(name, process, was_here=True) if is_same and _is_alive(process) else None

    def _note(self, name: str) -> Path:
        return self.run_folder / f"{name}.pid"

    def _log(self, name: str) -> Path:
        return self.run_folder / f"{name}.log"

    def _redis_socket(self) -> Path:
        socket = self.run_folder / "redis.sock"
        if len(os.fsencode(socket)) < SOCKET_PATH_LIMIT:
            return socket
        short = hashlib.sha256(os.fsencode(self.run_folder)).hexdigest()[:12]
        folder = Path(tempfile.gettempdir()) / f"lipsync-{os.getuid()}-{short}"
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            raise StackError(f"{folder} belongs to someone else; set LIPSYNC_REDIS_URL")
        return folder / "redis.sock"

    def _worker_is_there(self) -> bool:
        queue = JobQueue(Settings(redis_url=self.environment["LIPSYNC_REDIS_URL"]))
        started = {running.process.pid for running in self.running if running.name == "worker"}
        return any(worker.pid in started for worker in queue.workers())


@contextmanager
def running_stack(run_folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[Stack]:
    """Give a stack that stops what it started when the block ends: normally, by an error, Ctrl-C or SIGTERM.

    Raises:
        StackError: if another program holds the same run folder.
    """
    stack = Stack(run_folder, settings)
    with (run_folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(f"{run_folder} is in use: wait for the other `make`, or end it") from None
        before = signal.signal(signal.SIGTERM, _interrupt)
        try:
            yield stack
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the way out is not interrupted again
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            stack.stop()
            signal.signal(signal.SIGTERM, before)
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _redis_answers(socket: Path) -> bool:
    try:
        return bool(Redis(unix_socket_path=str(socket)).ping())
    except RedisError:
        return False


def _page_answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=2) as answer:
            return int(answer.status) == 200
    except (URLError, TimeoutError, ConnectionError):
        return False
