"""Downloads against a hub of our own: progress, resuming, checksums; and without any network."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from latentsync_core import bundle_download
from latentsync_core.bundle_catalog import OFFICIAL_BUNDLES
from latentsync_core.bundle_download import DownloadProgress, download_bundle
from latentsync_core.errors import BadCheckpoint, BundleNotFound, Cancelled

COMMIT = "a" * 40
NAME = "latentsync-1.5"


class Hub(ThreadingHTTPServer):
    """Speaks as much of the hub's protocol as a download needs."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.files = {
            f"/{file.repository}/resolve/{revision}/{file.path}": f"{file.path} ".encode() * 200_000
            for file in OFFICIAL_BUNDLES[NAME].files
            for revision in ("main", COMMIT)
        }
        self.ranges: list[str | None] = []
        self.damaged = False

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Answer(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._head(self.server.files.get(self.path), 200)

    def do_GET(self) -> None:
        content = self.server.files.get(self.path)
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        self._head(content, 206 if wanted else 200, start)
        if content is not None:
            self.wfile.write(bytes(len(content) - start) if self.server.damaged else content[start:])

    def _head(self, content: bytes | None, status: int, start: int = 0) -> None:
        if content is None:
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(status)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{_etag(self.path, content)}"')
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _etag(path: str, content: bytes) -> str:
    """Large files carry a SHA-256, small ones git's own checksum."""
    if path.endswith("config.json"):
        return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_download_fetches_checks_and_marks_every_file(hub: Hub, tmp_path: Path):
    told: list[DownloadProgress] = []
    download_bundle(NAME, tmp_path, told.append, endpoint=hub.address)
    assert all(file.is_verified(tmp_path) for file in OFFICIAL_BUNDLES[NAME].files)
    total = sum(file.local_path(tmp_path).stat().st_size for file in OFFICIAL_BUNDLES[NAME].files)
    assert told[-1].bytes_total == told[-1].bytes_done == total
    assert [progress.bytes_done for progress in told] == sorted(progress.bytes_done for progress in told)
    requests = len(hub.ranges)
    download_bundle(NAME, tmp_path, told.append, endpoint=hub.address)
    assert len(hub.ranges) == requests  # nothing is fetched twice


def test_a_stopped_download_goes_on_where_it_stopped(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1 << 16)

    def stop(progress: DownloadProgress) -> None:
        if progress.bytes_done > 1 << 18:
            raise Cancelled

    with pytest.raises(Cancelled):
        download_bundle(NAME, tmp_path, stop, endpoint=hub.address)
    assert not OFFICIAL_BUNDLES[NAME].unet.is_verified(tmp_path)
    download_bundle(NAME, tmp_path, endpoint=hub.address)
    assert any(wanted is not None and wanted != "bytes=0-" for wanted in hub.ranges)
    unet = OFFICIAL_BUNDLES[NAME].unet
    expected = hub.files[f"/{unet.repository}/resolve/main/{unet.path}"]
    assert unet.local_path(tmp_path).read_bytes() == expected


def test_a_damaged_file_is_refused_and_removed(hub: Hub, tmp_path: Path):
    hub.damaged = True
    with pytest.raises(BadCheckpoint, match="arrived damaged"):
        download_bundle(NAME, tmp_path, endpoint=hub.address)
    assert not OFFICIAL_BUNDLES[NAME].unet.local_path(tmp_path).exists()
    hub.damaged = False
    download_bundle(NAME, tmp_path, endpoint=hub.address)


def test_a_file_that_the_hub_does_not_have_is_a_clear_error(hub: Hub, tmp_path: Path):
    hub.files.clear()
    with pytest.raises(BundleNotFound, match=r"latentsync-1\.5 could not be downloaded"):
        download_bundle(NAME, tmp_path, endpoint=hub.address)


def test_without_a_network_the_message_says_what_to_do(tmp_path: Path):
    """Port 9 of this machine answers nobody, as the hub does where there is no network."""
    with pytest.raises(BundleNotFound, match=r"cannot be reached.*Check the network") as caught:
        download_bundle(NAME, tmp_path, endpoint="http://127.0.0.1:9")
    assert str(tmp_path) in str(caught.value)


def test_a_full_disk_is_known_before_the_download(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(bundle_download.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(BundleNotFound, match="are free"):
        download_bundle(NAME, tmp_path, endpoint=hub.address)


def test_the_bundle_of_the_repository_needs_no_download(tmp_path: Path):
    (tmp_path / "bundle.json").write_text("{}")
    download_bundle(str(tmp_path), tmp_path / "cache", endpoint="http://127.0.0.1:9")


def test_an_unknown_bundle_cannot_be_downloaded(tmp_path: Path):
    with pytest.raises(BundleNotFound, match="There is no model"):
        download_bundle("no-such-model", tmp_path)
