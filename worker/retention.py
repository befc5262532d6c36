"""Disk: how much job folders use, what may still come, and what is old enough to go."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from worker.errors import QuotaExceeded
from worker.job import JOB_ID_PATTERN, LipSyncJob, utc_now
from worker.job_folder import JobFolder
from worker.settings import GIB, Settings


@dataclass(frozen=True)
class DiskUse:
    """Bytes in job folders: of one owner, of all; bytes free on the disk."""

    owner: int
    total: int
    free: int


def all_folders(settings: Settings) -> Iterator[JobFolder]:
    """Every job's or draft's folder."""
    root = settings.data_dir
    if not root.is_dir():
        return
    for path in sorted(root.iterdir()):
        if path.is_dir() and re.fullmatch(JOB_ID_PATTERN, path.name):
            yield JobFolder(path.name, settings)


def owner_of(folder: JobFolder) -> str | None:
    """Whose folder it is; None if nothing in it says so."""
    record = folder.read_job() or folder.read_draft()
    return record.owner if record else None


def disk_use(settings: Settings, owner: str | None = None) -> DiskUse:
    """Add up the folders."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    mine = total = 0
    for folder in all_folders(settings):
        size = folder.bytes_used
        total += size
        if owner is not None and owner_of(folder) == owner:
            mine += size
    return DiskUse(mine, total, shutil.disk_usage(settings.data_dir).free)


def room_left(settings: Settings, owner: str) -> int:
    """Bytes that the owner may still upload.

    Raises:
        QuotaExceeded: if there is none, in words that say what to do.
    """
    use = disk_use(settings, owner)
    if use.owner >= settings.max_owner_bytes:
        raise QuotaExceeded(
            f"Your videos use {use.owner / GIB:.1f} of {settings.max_owner_bytes / GIB:.1f} GiB. "
            "Delete some of your finished jobs first."
        )
    room_on_disk = min(settings.max_total_bytes - use.total, use.free - settings.min_free_bytes)
    if room_on_disk <= 0:
        raise QuotaExceeded("The server's disk is full. Try again later, or tell whoever runs it.")
    return min(settings.max_owner_bytes - use.owner, room_on_disk)


def is_expired(job: LipSyncJob, settings: Settings) -> bool:
    """Tell whether a job's time is over; never while it waits or runs."""
    ended = job.ended_at or job.created_at
    return job.state.is_over and utc_now() - ended > timedelta(days=settings.retention_days)


def is_stale_draft(folder: JobFolder, settings: Settings) -> bool:
    """Tell whether nobody made a job of these uploads for too long."""
    draft = folder.read_draft()
    if draft is None or folder.read_job() is not None:
        return False
    return utc_now() - draft.created_at > timedelta(hours=settings.draft_hours)


def remove_leftovers(settings: Settings) -> None:
    """Finish removals that were interrupted."""
    for path in settings.data_dir.glob("*.deleted"):
        shutil.rmtree(path, ignore_errors=True)
