"""What each step found, kept on disk, so that a killed run goes on where it was.

One JSON file a step, written under another name first. Each carries a key made of the source file's size and time and
of the choices that this step and the ones before it depend on: a changed file or option redoes what it touches.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from latentsync_core.data_preparation.dropped import Dropped

VERSION = 1  # of what the steps do and write; raise it when that changes, and old records are done again

Found = dict[str, Any]


def write_atomically(path: Path, text: str) -> None:
    """Write a text file so that it is there whole or not at all."""
    partial = path.with_name(f"{path.name}.part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def chain_key(before: str, step: str, choices: Mapping[str, Any]) -> str:
    """Extend a key by one step and what it depends on."""
    return hashlib.sha256(json.dumps([VERSION, before, step, dict(choices)], sort_keys=True).encode()).hexdigest()[:16]


def source_key(path: Path) -> str:
    """Name a version of a file without reading it; a missing one has a key as well."""
    if not path.exists():
        return "missing"
    status = path.stat()
    return f"{status.st_size}-{status.st_mtime_ns}"


class StepRecords:
    """The records of one video: a folder of JSON files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str, key: str) -> Found | None:
        """Give what a step found; None if it has not been done with this key."""
        try:
            entry = json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        return entry["found"] if entry.get("key") == key else None

    def write(self, name: str, key: str, found: Found) -> None:
        """Keep what a step found."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.folder / f"{name}.json", json.dumps({"key": key, "found": found}))

    def run_once(self, name: str, key: str, step: Callable[[], Found]) -> Found:
        """Give what a step found, doing it only if it is not done; a step that dropped its input drops it again.

        Raises:
            Dropped: as the step.
        """
        found = self.read(name, key)
        if found is None:
            try:
                found = step()
            except Dropped as dropped:
                found = {"dropped": dropped.reason, "detail": dropped.detail}
            self.write(name, key, found)
        if "dropped" in found:
            raise Dropped(found["dropped"], found["detail"])
        return found
