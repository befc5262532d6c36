"""Curves of a run: rows of a CSV file, the same numbers for TensorBoard, and a picture of them."""

import csv
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from matplotlib.figure import Figure
from torch.utils.tensorboard import SummaryWriter

POSITION = ("step", "seconds")
PICTURE = "curves.png"  # of a run, in its folder
PANELS_IN_A_ROW = 4


class Board(Protocol):
    """What a curve needs of torch's SummaryWriter."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None: ...


class TensorBoard:
    """A board in a folder; a resumed run's first value hides what a killed one had written from that step on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: SummaryWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        """Show a value; steps do not fall."""
        if self._writer is None:
            self._writer = SummaryWriter(str(self._folder), purge_step=global_step)
        self._writer.add_scalar(tag, scalar_value, global_step)


class Curve:
    """One CSV file: step, seconds of training, and the measured values by name.

    Args:
        path: of the file; it grows by a row a measurement.
        board: shows the values as `<file's stem>/<name>`; None = the file only.
    """

    def __init__(self, path: Path, board: Board | None = None) -> None:
        self.path, self._board = path, board

    def add(self, step: int, seconds: float, values: Mapping[str, float]) -> None:
        """Append a row."""
        is_new = not self.path.exists() or self.path.stat().st_size == 0
        with self.path.open("a", newline="") as file:
            writer = csv.writer(file)
            if is_new:
                writer.writerow([*POSITION, *values])
            writer.writerow([step, round(seconds, 1), *(round(value, 5) for value in values.values())])
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(f"{self.path.stem}/{name}", value, step)

    def forget_after(self, step: int) -> None:
        """Drop the rows of later steps, which a resumed run measures again."""
        if not self.path.exists():
            return
        header, *rows = self.path.read_text().splitlines(keepends=True) or [""]
        kept = [row for row in rows if int(row.split(",", 1)[0]) <= step]
        unfinished = self.path.with_suffix(".tmp")
        unfinished.write_text("".join([header, *kept]))
        os.replace(unfinished, self.path)

    def rows(self) -> list[dict[str, float]]:
        """All measurements; none before the first."""
        if not self.path.exists():
            return []
        with self.path.open(newline="") as file:
            return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def plot_curves(
    out: Path, curves: Mapping[str, Curve], levels: Mapping[str, float | None], *, over_time: bool = False
) -> None:
    """Draw a PNG with a panel for every name of `levels`.

    Args:
        out: the picture.
        curves: by label; those without the name are left out of its panel.
        levels: names to draw, each with a height of interest (chance, say), which is drawn as a dotted line, or None.
        over_time: draw over minutes of training instead of steps, for runs whose steps cost differently.
    """
    columns = max(1, min(len(levels), PANELS_IN_A_ROW))
    rows_of_panels = max(1, -(-len(levels) // columns))
    figure = Figure(figsize=(6 * columns, 4 * rows_of_panels), layout="constrained")
    for number, (name, level) in enumerate(levels.items()):
        axes = figure.add_subplot(rows_of_panels, columns, number + 1)
        for label, curve in curves.items():
            rows = [row for row in curve.rows() if name in row]
            points = [(row["seconds"] / 60 if over_time else row["step"], row[name]) for row in rows]
            if points:
                axes.plot(*zip(*points, strict=True), label=label, marker="." if len(points) < 30 else None)
        if level is not None:
            axes.axhline(level, linestyle=":", color="grey", label="_chance")
        axes.set(xlabel="minutes" if over_time else "step", ylabel=name)
        if axes.get_legend_handles_labels()[1]:
            axes.legend()
    figure.savefig(out, dpi=120)


def plot_run(run_dir: Path, training: Curve, held_out: Curve | None = None) -> None:
    """Draw `curves.png` of a run: a panel for everything that either curve measures."""
    curves = {"training": training} | ({"held-out people": held_out} if held_out else {})
    names = dict.fromkeys(name for curve in curves.values() for row in curve.rows()[-1:] for name in row)
    levels = {name: None for name in names if name not in POSITION}
    if levels:
        plot_curves(run_dir / PICTURE, curves, levels)
