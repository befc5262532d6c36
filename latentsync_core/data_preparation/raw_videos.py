"""Which videos there are, who is in them, and who is held out.

With a `manifest.csv` (clip, and if wanted identity, split, kind, language, ...) the list is the manifest's. Without one
it is every video file below the folder: a person is a sub-folder's name, or the file's where it lies in no sub-folder.
A person is in one split only. Where no manifest says which, a hash of the name decides: the same on every machine, and
adding people moves nobody.
"""

import csv
import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from latentsync_core.errors import UnreadableMedia

MANIFEST = "manifest.csv"
VIDEO_SUFFIXES = frozenset(
    (
        *(".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".ogv", ".avi", ".flv", ".wmv", ".asf"),
        *(".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".mxf", ".dv", ".nut"),
    )
)
RESERVED = (MANIFEST, "summary.html")  # what else lies in the output folder
MAX_NAME = 120  # characters; with what is appended it must remain a legal file name


@dataclass(frozen=True)
class RawVideo:
    """One file to prepare.

    Attributes:
        path: the file.
        name: unique, of letters that are safe in file names; output folders are named after it.
        identity: the person.
        split: "train", "val", or what the manifest says.
        kind: "real" or "generated".
        language: as the manifest says; empty if it does not.
        notes: all columns of its manifest row.
    """

    path: Path
    name: str
    identity: str
    split: str
    kind: str = "real"
    language: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)


def list_raw_videos(raw_dir: Path, val_share: float) -> list[RawVideo]:
    """List the videos of a folder in a fixed order.

    Raises:
        UnreadableMedia: if the folder is missing or empty, or its manifest is wrong.
    """
    if not raw_dir.is_dir():
        raise UnreadableMedia(f"{raw_dir} is not a folder")
    has_manifest = (raw_dir / MANIFEST).is_file()
    videos = _from_manifest(raw_dir, val_share) if has_manifest else _from_folders(raw_dir, val_share)
    if not videos:
        raise UnreadableMedia(f"{raw_dir} holds no videos ({', '.join(sorted(VIDEO_SUFFIXES))}) and no {MANIFEST}")
    return videos


def split_of(identity: str, val_share: float) -> str:
    """Give a person's split, from nothing but the name."""
    position = int.from_bytes(hashlib.sha256(identity.encode()).digest()[:8], "big") / 2**64
    return "val" if position < val_share else "train"


def _from_manifest(raw_dir: Path, val_share: float) -> list[RawVideo]:
    manifest = raw_dir / MANIFEST
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if "clip" not in (reader.fieldnames or ()):
                raise UnreadableMedia(f"{manifest} has no column `clip` (clip, identity, split, kind are expected)")
            rows = [{key: value or "" for key, value in row.items() if key} for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UnreadableMedia(f"{manifest} is not a CSV file in UTF-8 ({error})") from error
    for number, row in enumerate(rows, start=2):
        if not row["clip"]:
            raise UnreadableMedia(f"{manifest}, row {number}: `clip` is empty")
        if Path(row["clip"]).is_absolute() or ".." in Path(row["clip"]).parts:  # links are the owner's affair
            raise UnreadableMedia(f"{manifest}, row {number}: {row['clip']} lies outside {raw_dir}")
    paths = [Path(row["clip"]) for row in rows]
    twice = [str(path) for path, count in Counter(paths).items() if count > 1]
    if twice:
        raise UnreadableMedia(f"{manifest} lists {twice[0]} more than once")
    names = _unique_names([path.with_suffix("").name for path in paths], paths)
    videos = []
    for row, path, name in zip(rows, paths, names, strict=True):
        identity = row.get("identity") or _identity_of(path)
        split = row.get("split") or split_of(identity, val_share)
        kind, language = row.get("kind") or "real", row.get("language") or ""
        videos.append(RawVideo(raw_dir / path, name, identity, split, kind, language, row))
    _refuse_people_in_two_splits(videos, manifest)
    return videos


def _from_folders(raw_dir: Path, val_share: float) -> list[RawVideo]:
    files = (path for path in raw_dir.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file())
    paths = sorted(path.relative_to(raw_dir) for path in files)
    names = _unique_names(["__".join(path.with_suffix("").parts) for path in paths], paths)
    people = [_identity_of(path) for path in paths]
    return [
        RawVideo(raw_dir / path, name, person, split_of(person, val_share))
        for path, name, person in zip(paths, names, people, strict=True)
    ]


def _identity_of(path: Path) -> str:
    """Give the first sub-folder's name, or the file's own."""
    return path.parts[0] if len(path.parts) > 1 else path.stem


def _unique_names(wanted: list[str], paths: list[Path]) -> list[str]:
    """Make names safe for a file system; those that would meet are told apart by a hash of the path."""
    safe = [re.sub(r"[^\w.-]", "_", name, flags=re.ASCII).lstrip(".")[:MAX_NAME] or "_" for name in wanted]
    seen = Counter(name.lower() for name in safe)
    return [
        name
        if seen[name.lower()] == 1 and name.lower() not in RESERVED
        else f"{name}-{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
        for name, path in zip(safe, paths, strict=True)
    ]


def _refuse_people_in_two_splits(videos: list[RawVideo], manifest: Path) -> None:
    splits: dict[str, str] = {}
    for video in videos:
        if splits.setdefault(video.identity, video.split) != video.split:
            raise UnreadableMedia(
                f"{manifest}: {video.identity} is in split {splits[video.identity]} and in {video.split}; "
                "a held-out person must not be trained on"
            )
