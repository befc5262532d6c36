"""Official bundles from the hub: resumable, with progress, every file checked before it counts. No torch here.

The hub states a SHA-256 for every large file and git's own checksum for every small one. A file that has been
checked gets a marker beside it, so that loading never trusts half a download.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.file_download import HfFileMetadata, http_get
from huggingface_hub.utils import build_hf_headers
from tqdm import tqdm

from latentsync_core.bundle_catalog import (
    DEFAULT_CACHE_DIR,
    MINI_FOLDER,
    OFFICIAL_BUNDLES,
    VERIFIED_SUFFIX,
    HubFile,
    bundle_folder,
)
from latentsync_core.errors import BadCheckpoint, BundleNotFound

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 10.0
_SHA256_LENGTH = 64
_BLOCK = 1 << 22


@dataclass(frozen=True)
class DownloadProgress:
    """Where a download stands: the file on its way, and the bytes of the whole bundle."""

    file: str
    bytes_done: int
    bytes_total: int


def ignore_download(progress: DownloadProgress) -> None:
    """The callback of someone who does not want to know."""


def download_bundle(
    name: str,
    cache_dir: Path | None = None,
    on_progress: Callable[[DownloadProgress], None] = ignore_download,
    endpoint: str | None = None,
) -> None:
    """Fetch what is missing of an official bundle; a broken download goes on where it stopped.

    Args:
        name: of the bundle; one that needs no download is left as it is.
        cache_dir: where downloads lie; None = DEFAULT_CACHE_DIR.
        on_progress: called some times a second; what it raises stops the download.
        endpoint: another hub of the same kind, such as a mirror.

    Raises:
        BundleNotFound: if the bundle is unknown, the hub cannot be reached or refuses, or the disk is too small.
        BadCheckpoint: if a downloaded file has another checksum than the hub states.
    """
    if bundle_folder(name) is not None:
        return
    cache_dir = cache_dir or DEFAULT_CACHE_DIR
    files = [file for file in OFFICIAL_BUNDLES[name].files if not file.is_verified(cache_dir)]
    try:
        facts = [_metadata(file, endpoint) for file in files]
        sizes = [fact.size or file.bytes for file, fact in zip(files, facts, strict=True)]
        _check_space(name, cache_dir, sum(sizes))
        for index, (file, fact) in enumerate(zip(files, facts, strict=True)):
            meter = _Meter(file.path, sum(sizes[:index]), sum(sizes), on_progress)
            _fetch(file, fact, cache_dir, meter)
    except (httpx2.HTTPError, HfHubHTTPError, OSError) as error:
        raise BundleNotFound(
            f"{name} could not be downloaded: {endpoint or 'huggingface.co'} cannot be reached or refused ({error}). "
            f"Check the network and start the download again; it goes on where it stopped. "
            f"Without a network use the bundle in {MINI_FOLDER.name!r}, or copy {cache_dir} from another machine."
        ) from error


def _metadata(file: HubFile, endpoint: str | None) -> HfFileMetadata:
    url = hf_hub_url(file.repository, file.path, endpoint=endpoint)
    return get_hf_file_metadata(url, timeout=CONNECT_TIMEOUT_S, endpoint=endpoint)


def _fetch(file: HubFile, fact: HfFileMetadata, cache_dir: Path, meter: "_Meter") -> None:
    """Download one file at the revision the hub stated, check it, and mark it as checked.

    `hf_hub_download` throws a broken download away, so the part that has arrived is kept here, under the name of
    what the whole is to be.
    """
    logger.info("downloading %s from %s", file.path, file.repository)
    path, expected = file.local_path(cache_dir), (fact.etag or "").strip('"')
    partial = path.with_name(f"{path.name}.{expected[:16]}.partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    with partial.open("ab") as stream:
        http_get(
            fact.location,
            stream,
            resume_size=stream.tell(),
            expected_size=fact.size,
            headers=build_hf_headers(token=False),
            tqdm_class=meter.bar_class(),
        )
    found = _checksum(partial, expected)
    if found != expected:
        partial.unlink()
        raise BadCheckpoint(
            f"{path.name} of {file.repository} arrived damaged (checksum {found}, the hub states {expected}); "
            "it was removed, download it again"
        )
    partial.replace(path)
    marker = {"size": path.stat().st_size, "checksum": found, "revision": fact.commit_hash}
    path.with_name(path.name + VERIFIED_SUFFIX).write_text(json.dumps(marker) + "\n", encoding="utf-8")


def _checksum(path: Path, expected: str) -> str:
    """Compute the kind of checksum that `expected` is: SHA-256 of large files, git's SHA-1 of small ones."""
    if len(expected) == _SHA256_LENGTH:
        digest = hashlib.sha256()
    else:
        digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _check_space(name: str, cache_dir: Path, needed: int) -> None:
    cache_dir.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(cache_dir).free
    if free < needed:
        raise BundleNotFound(
            f"{name} needs {needed / 1e9:.1f} GB in {cache_dir}, where {free / 1e9:.1f} GB are free. "
            "Make room, or choose another cache folder."
        )


class _Meter:
    """Turns the hub client's progress bars of one file into calls of `on_progress`."""

    def __init__(
        self, file: str, bytes_before: int, bytes_total: int, on_progress: Callable[[DownloadProgress], None]
    ) -> None:
        self.file = file
        self.bytes_before = bytes_before
        self.bytes_total = bytes_total
        self.on_progress = on_progress
        self.most = 0

    def report(self, bytes_done: int) -> None:
        """Tell the furthest of the bars: one transfer may show two, of the bytes received and written."""
        self.most = max(self.most, bytes_done)
        self.on_progress(DownloadProgress(self.file, self.bytes_before + self.most, self.bytes_total))

    def bar_class(self) -> type[tqdm]:
        meter = self

        class ReportingBar(tqdm):
            """A bar that draws nothing."""

            def __init__(self, *args: Any, **kwargs: Any) -> None:
                self.bytes_done = int(kwargs.get("initial") or 0)
                super().__init__(*args, **{**kwargs, "disable": True})

            def update(self, n: float | None = 1) -> bool | None:
                self.bytes_done += int(n or 0)
                meter.report(self.bytes_done)
                return None

        return ReportingBar
