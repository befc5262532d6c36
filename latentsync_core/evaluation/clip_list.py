"""Clips of a data set by its manifest.csv, and who speaks with whose sound."""

import csv
from dataclasses import dataclass
from pathlib import Path

from latentsync_core.errors import BadOption


@dataclass(frozen=True)
class HeldOutClip:
    """A clip and whose it is."""

    path: Path
    identity: str


def list_held_out(data_dir: Path, split: str = "val") -> list[HeldOutClip]:
    """Real clips of one split, in the order of `data_dir/manifest.csv`."""
    return list_clips(data_dir, {"split": split, "kind": "real"})


def list_clips(data_dir: Path, where: dict[str, str], manifest: str = "manifest.csv") -> list[HeldOutClip]:
    """Clips whose columns have the given values, in the manifest's order.

    Args:
        data_dir: the data set; paths in the column `clip` are relative to it.
        where: value by column.
        manifest: a csv with the columns `clip` and `identity` and those of `where`.

    Raises:
        BadOption: if there is no such manifest, a column is missing, or no clip is left.
    """
    path = data_dir / manifest
    if not path.is_file():
        raise BadOption(f"{path}: no such manifest")
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        absent = {"clip", "identity", *where} - set(reader.fieldnames or ())
        if absent:
            raise BadOption(f"{path} has no column {', '.join(sorted(absent))}")
        rows = [row for row in reader if all(row[column] == value for column, value in where.items())]
    if not rows:
        raise BadOption(f"{path} has no clip with {where}")
    return [HeldOutClip(data_dir / row["clip"], row["identity"]) for row in rows]


def choose_pairs(clips: list[HeldOutClip], count: int) -> list[tuple[Path, Path]]:
    """Pairs (video, driver) of different people: neighbours in the list first, then clips further apart."""
    pairs = [
        (clip.path, clips[(index + shift) % len(clips)].path)
        for shift in (1, 5, 3)
        for index, clip in enumerate(clips)
        if clips[(index + shift) % len(clips)].identity != clip.identity
    ]
    return pairs[:count]
