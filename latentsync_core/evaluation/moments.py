"""The worst moments of a result: where to look first. No torch here, for the page."""

import math
from dataclasses import dataclass

FPS = 25
APART = 25  # frames between two moments
AT_MOST_OF_ONE = 2
SILENT_DB, OPEN = -30.0, 0.03  # below: silence; above: an open mouth
LEAST_STANDING = 3.0  # robust deviations from the usual

#: Per track: what a moment says, and +1 if high values are bad, -1 if low ones are.
_TRACKS = {
    "sync_confidence": ("low sync confidence (SyncNet v2)", -1),
    "stable_confidence": ("low sync confidence (StableSyncNet)", -1),
    "flicker": ("flicker", 1),
    "seam": ("visible seam", 1),
    "sharpness": ("soft mouth", -1),
    "open_in_silence": ("open mouth in silence", 1),
}

Series = dict[str, list[float | None]]


@dataclass(frozen=True)
class Moment:
    """A moment to look at: seconds, what stands out, its value and the usual one (the median)."""

    seconds: float
    what: str
    value: float
    usual: float


def worst_moments(series: Series, count: int = 6) -> list[Moment]:
    """Choose the moments that stand out most from the rest of their track, at least a second apart.

    How far a value stands out is counted in median absolute deviations; a track has at most two moments.

    Args:
        series: of results.json, one value a frame at 25 fps.
        count: at most so many.
    """
    tracks = {**series, "open_in_silence": _open_in_silence(series)}
    found: list[tuple[float, int, Moment]] = []
    for name, (words, sign) in _TRACKS.items():
        found += _of_track(tracks.get(name, []), words, sign)
    chosen: list[tuple[int, Moment]] = []
    for _, frame, moment in sorted(found, key=lambda entry: -entry[0]):
        if len(chosen) < count and all(abs(frame - other) >= APART for other, _ in chosen):
            chosen.append((frame, moment))
    return [moment for _, moment in chosen]


def _of_track(track: list[float | None], words: str, sign: int) -> list[tuple[float, int, Moment]]:
    values = [value for value in track if value is not None]
    if not values:
        return []
    usual = _median(values)
    deviation = _median([abs(value - usual) for value in values]) or 1e-6
    standing = [(sign * (v - usual) / deviation, n, v) for n, v in enumerate(track) if v is not None]
    chosen: list[tuple[float, int, Moment]] = []
    for score, frame, value in sorted(standing, reverse=True):
        if score < LEAST_STANDING or len(chosen) == AT_MOST_OF_ONE:
            break
        if all(abs(frame - other) >= APART for _, other, _ in chosen):
            chosen.append((score, frame, Moment(frame / FPS, words, value, usual)))
    return chosen


def _open_in_silence(series: Series) -> list[float | None]:
    """The opening where nobody speaks and the mouth is open, 0 elsewhere."""
    pairs = zip(series.get("opening", []), series.get("loudness", []), strict=False)
    return [
        opening if opening is not None and loudness is not None and loudness < SILENT_DB and opening > OPEN else 0.0
        for opening, loudness in pairs
    ]


def _median(values: list[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else math.fsum(ordered[middle - 1 : middle + 1]) / 2
