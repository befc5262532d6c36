"""The audit of a collection: hours, people, languages, splits and offsets, before and after."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from latentsync_core.data_preparation.tally import ClipRow

UNKNOWN = "not given"


@dataclass(frozen=True)
class SplitAudit:
    """What one split holds."""

    clips: int
    hours: float
    people: int


@dataclass(frozen=True)
class Audit:
    """What a collection holds.

    Attributes:
        videos: files looked at, and their `raw_hours` of readable footage.
        clips: kept, and their `hours`, of how many `people`.
        languages: hours by language.
        splits: by name.
        offsets: how many kept clips had each offset in frames, as measured, before any shift.
        offset_measure: what measured it.
    """

    videos: int
    raw_hours: float
    clips: int
    hours: float
    people: int
    languages: dict[str, float]
    splits: dict[str, SplitAudit]
    offsets: dict[int, int]
    offset_measure: str


def audit(rows: Sequence[ClipRow], videos: int, raw_seconds: float) -> Audit:
    """Add up the kept clips."""
    kept = [row for row in rows if row.state == "kept"]
    languages: defaultdict[str, float] = defaultdict(float)
    for row in kept:
        languages[row.language or UNKNOWN] += row.seconds or 0
    offsets = Counter(row.sync_offset for row in kept if row.sync_offset is not None)
    splits = {}
    for split in sorted({row.split for row in kept}):
        part = [row for row in kept if row.split == split]
        splits[split] = SplitAudit(len(part), _hours(part), len({row.identity for row in part}))
    return Audit(
        videos=videos,
        raw_hours=raw_seconds / 3600,
        clips=len(kept),
        hours=_hours(kept),
        people=len({row.identity for row in kept}),
        languages={language: seconds / 3600 for language, seconds in sorted(languages.items())},
        splits=splits,
        offsets=dict(sorted(offsets.items())),
        offset_measure=next((row.sync_measure for row in kept if row.sync_measure), ""),
    )


def audit_lines(found: Audit) -> list[tuple[str, str]]:
    """Give the audit as pairs of what and how much."""
    lines = [
        ("videos", f"{found.videos}, {show_hours(found.raw_hours)} of readable footage"),
        ("clips", f"{found.clips}, {show_hours(found.hours)}"),
        ("people", str(found.people)),
        ("languages", ", ".join(f"{name} {show_hours(hours)}" for name, hours in found.languages.items()) or "none"),
    ]
    for name, split in found.splits.items():
        lines.append((f"split {name}", f"{split.clips} clips, {show_hours(split.hours)}, {split.people} people"))
    if found.clips and "val" not in found.splits:
        lines.append(("split val", "nobody is held out: add people, or raise --val-share"))
    if found.offsets:
        values = [offset for offset, count in found.offsets.items() for _ in range(count)]
        near = sum(abs(offset) <= 1 for offset in values) / len(values)
        text = f"median {median(values):+g} frames, {near:.0%} within one frame"
        lines.append(("offsets", f"{text} ({len(values)} clips, by {found.offset_measure})"))
    return lines


def _hours(rows: Sequence[ClipRow]) -> float:
    return sum(row.seconds or 0 for row in rows) / 3600


def show_hours(hours: float) -> str:
    """Give a length in the unit that suits it."""
    return f"{hours:.2f} h" if hours >= 0.1 else f"{hours * 60:.1f} min" if hours >= 0.02 else f"{hours * 3600:.1f} s"
