"""A real web server for the routes that stand beside Streamlit's own."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse

import pytest
import uvicorn
from starlette.applications import Starlette

from pages.parts import service
from worker.settings import Settings


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Browser:
    """Sends requests and keeps one cookie, as a browser does."""

    port: int
    cookie: str | None = None
    sent: list[str] = field(default_factory=list)

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        if self.cookie:
            headers["Cookie"] = self.cookie
        connection.request(method, path, body=body, headers={k.replace("_", "-"): v for k, v in headers.items()})
        response: HTTPResponse = connection.getresponse()
        answer = Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        connection.close()
        if "set-cookie" in answer.headers:
            self.cookie = answer.headers["set-cookie"].split(";")[0]
        return answer


@pytest.fixture
def serve() -> Iterator[Callable[[Starlette], Browser]]:
    """Give a function that serves an application on a free port and returns a browser that looks at it."""
    servers: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(app: Starlette) -> Browser:
        server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        servers.append((server, thread))
        deadline = time.monotonic() + 10
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.01)
        return Browser(server.servers[0].sockets[0].getsockname()[1])

    yield start
    for server, thread in servers:
        server.should_exit = True
        thread.join(timeout=10)


@pytest.fixture
def deployment(tmp_path, monkeypatch) -> Iterator[Callable[..., Settings]]:
    """Give a function that sets the deployment's settings, as its environment would; data lies in `tmp_path`."""

    def set_up(**choices: object) -> Settings:
        for name, value in {"data_dir": tmp_path / "jobs", **choices}.items():
            monkeypatch.setenv(f"LIPSYNC_{name.upper()}", str(value))
        forget()
        return service.settings()

    def forget() -> None:
        for remembered in (service.settings, service.queue, service.playable_file):
            remembered.cache_clear()

    yield set_up
    forget()
