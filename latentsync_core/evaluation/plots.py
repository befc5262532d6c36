"""Plots of an evaluation: every measure of a mode with its intervals, and one result over time."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from latentsync_core.evaluation.measures import MODE_WORDS, measures_of

COLUMNS = 4
OURS, SOUND, OLD = "#14877d", "#b0b7bd", "#d97706"
FPS = 25
TRACKS = ("sync_confidence", "stable_confidence", "sharpness", "flicker", "seam")

mpl.rcParams["svg.hashsalt"] = "evaluation"  # the same figures give the same file


def plot_measures(mode: str, rows: dict[str, dict[str, Any]], path: Path) -> None:
    """Draw a panel for every measure of a mode's table: value and interval of every system."""
    measures = [measure for measure in measures_of(mode) if any(measure.key in row for row in rows.values())]
    lines = -(-len(measures) // COLUMNS)
    figure = Figure(figsize=(4 * COLUMNS, (0.9 + 0.28 * len(rows)) * lines), layout="constrained")
    axes = figure.subplots(lines, COLUMNS, squeeze=False).ravel()
    for panel in axes[len(measures) :]:
        panel.set_axis_off()
    for number, (panel, measure) in enumerate(zip(axes, measures, strict=False)):
        for height, row in enumerate(rows.values()):
            found = row.get(measure.key)
            if found is None:
                continue
            panel.plot(found["value"], height, "o", color=OURS)
            if found["low"] is not None:
                panel.plot([found["low"], found["high"]], [height, height], color=OURS)
        panel.set_title(measure.title + measure.arrow, fontsize=9)
        panel.set_yticks(range(len(rows)), list(rows) if number % COLUMNS == 0 else [""] * len(rows), fontsize=8)
        panel.set_ylim(len(rows) - 0.5, -0.5)
        panel.tick_params(axis="x", labelsize=8)
        panel.grid(axis="x", alpha=0.3)
    figure.suptitle(MODE_WORDS[mode])
    figure.savefig(path, dpi=100)


def plot_series(series: dict[str, list[float | None]], title: str, path: Path) -> None:
    """Draw one result over time: mouth opening over the sound, sync confidence if there is one, pictures."""
    tracks = [name for name in TRACKS if name in series]
    figure = Figure(figsize=(10, 2.6 + 1.4 * len(tracks)), layout="constrained")
    heights = [2.0, *([1.0] * len(tracks))]
    mouth, *others = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights).ravel()
    sound = mouth.twinx()
    sound.fill_between(*_points(series["loudness"]), -60, color=SOUND, alpha=0.5, linewidth=0)
    sound.set_ylabel("sound, dB")
    mouth.set_zorder(sound.get_zorder() + 1)
    mouth.patch.set_visible(False)
    for name, label, colour in (("source_opening", "old mouth", OLD), ("opening", "generated mouth", OURS)):
        if name in series:
            mouth.plot(*_points(series[name]), label=label, color=colour)
    mouth.set_ylabel("mouth opening")
    mouth.legend(loc="upper right", fontsize=8)
    mouth.set_title(title)
    for panel, name in zip(others, tracks, strict=True):
        panel.plot(*_points(series[name]), color=OURS)
        panel.set_ylabel(name.replace("_", "\n"), fontsize=8)
    figure.supxlabel("seconds")
    figure.savefig(path, dpi=100)


def _points(track: list[float | None]) -> tuple[list[float], list[float]]:
    return [n / FPS for n in range(len(track))], [float("nan") if value is None else value for value in track]
