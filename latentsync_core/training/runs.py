"""Runs as their folders tell them: what trains or was trained, how far it is, its curves, its machine.

For whoever looks on: nothing here loads torch, and a file that is missing, half written or broken makes a run say
less, never fail.
"""

import csv
import json
import math
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from latentsync_core.training.run_state import RunState, read_state

RECIPE, FACTS, ALARM = "recipe.yaml", "run.json", "alarm.txt"
TRAINING, VALIDATION = "losses.csv", "validation.csv"
SAMPLES = "samples"
SAMPLE_KINDS = (".png", ".jpg", ".mp4")
TRAINERS = ("train-vae", "train-audio", "train-syncnet", "train-unet")
DEPTH = 4  # folders below the root: runs of a study lie in a folder of the study's
RECENT_ROWS = 10  # from which speed and losses "now" are taken
LEAST_QUIET = 120.0  # seconds without a sign after which an old run, which has no state.json, does not run any more

#: What each trainer leaves, for runs that do not name theirs.
_WEIGHTS = {"vae": "train-vae", "audio_encoder": "train-audio", "syncnet": "train-syncnet", "unet.pt": "train-unet"}
_NO_RUNS_BELOW = {"checkpoints", "tensorboard", SAMPLES, *_WEIGHTS}

#: A measurement: "step", "seconds" of training, and the measured values by name.
Row = dict[str, float]


@dataclass(frozen=True)
class TrainingRun:
    """One run.

    Attributes:
        name: its folder, as seen from the root.
        folder: where it lies.
        trainer: one of TRAINERS, "" if unknown.
        state: running or not.
        why: it was stopped, in words; "" if it was not, or nobody knows.
        recipe: its settings; {} if it left none.
        facts: run.json: "started" (ISO 8601) and "machine" (texts by name); {} if it left none.
        training: curve of losses.csv, steps rising.
        validation: curve of validation.csv, steps rising.
        steps: done.
        alarm: what alarm.txt says, "" without one.
        changed: when it was last written to, UTC.
    """

    name: str
    folder: Path
    trainer: str
    state: RunState
    why: str
    recipe: dict[str, Any]
    facts: dict[str, Any] = field(repr=False)
    training: list[Row] = field(repr=False)
    validation: list[Row] = field(repr=False)
    steps: int
    alarm: str
    changed: datetime

    @property
    def planned_steps(self) -> int | None:
        """Of its schedule, None if it left no recipe; a run may end earlier, by its clock."""
        return self._count("steps")

    @property
    def seconds(self) -> float:
        """Of training, up to the last measurement."""
        return max((rows[-1]["seconds"] for rows in (self.training, self.validation) if rows), default=0.0)

    @property
    def progress(self) -> float | None:
        """Share of its schedule, by steps or by its clock, 0..1; None if it left no recipe."""
        if self.planned_steps is None:
            return None
        minutes = self.recipe.get("max_minutes")
        by_clock = self.seconds / (60 * minutes) if isinstance(minutes, int | float) and minutes > 0 else 0.0
        return min(1.0, max(self.steps / self.planned_steps, by_clock))

    @property
    def seconds_per_step(self) -> float | None:
        """Lately; None before there are two measurements."""
        recent = (self.training or self.validation)[-RECENT_ROWS:]
        if len(recent) < 2 or recent[-1]["seconds"] <= recent[0]["seconds"]:
            return None
        return (recent[-1]["seconds"] - recent[0]["seconds"]) / (recent[-1]["step"] - recent[0]["step"])

    @property
    def items_per_step(self) -> int | None:
        """What one optimiser step learns from: patches or windows; None if it left no recipe."""
        size = self._count("batch_size")
        return size * (self._count("batches_per_step") or 1) if size else None

    @property
    def waiting_share(self) -> float | None:
        """Share of the time that was lately spent waiting for data, 0..1; None if it was not measured."""
        waits = [row["waiting_seconds"] for row in self.training[-RECENT_ROWS:] if "waiting_seconds" in row]
        if not waits or not self.seconds_per_step:
            return None
        per_step = sum(waits) / len(waits) * (self._count("batches_per_step") or 1)
        return min(1.0, per_step / self.seconds_per_step)

    @property
    def samples(self) -> list[Path]:
        """Pictures and videos that the run made, the newest first."""
        try:
            paths = [path for path in (self.folder / SAMPLES).iterdir() if path.suffix.lower() in SAMPLE_KINDS]
        except OSError:
            return []
        return sorted(paths, reverse=True)

    def _count(self, name: str) -> int | None:
        value = self.recipe.get(name)
        return value if isinstance(value, int) and value > 0 else None


def find_runs(root: Path) -> list[TrainingRun]:
    """All runs below a folder, the last changed first; none if it does not exist."""
    runs = []
    for path, folders, files in os.walk(root):
        folder = Path(path)
        if {RECIPE, FACTS, TRAINING, VALIDATION} & set(files):
            runs.append(read_run(folder, folder.relative_to(root).as_posix()))
            folders.clear()
        elif len(folder.relative_to(root).parts) >= DEPTH:
            folders.clear()
        folders[:] = [name for name in folders if name not in _NO_RUNS_BELOW and not name.startswith(".")]
    return sorted(runs, key=lambda run: run.changed, reverse=True)


def read_run(folder: Path, name: str) -> TrainingRun:
    """One run, as far as its folder tells."""
    training, validation = read_curve(folder / TRAINING), read_curve(folder / VALIDATION)
    facts = read_facts(folder)
    changed = _last_change(folder)
    state, why = read_state(folder) or (_guess_state(training or validation, changed), "")
    steps = [int(rows[-1]["step"]) for rows in (training, validation) if rows]
    steps += [int(path.stem[5:]) for path in (folder / "checkpoints").glob("step_*.pt") if path.stem[5:].isdigit()]
    return TrainingRun(
        name=name,
        folder=folder,
        trainer=facts["trainer"] if facts.get("trainer") in TRAINERS else _guess_trainer(folder),
        state=state,
        why=why,
        recipe=_read_recipe(folder),
        facts=facts,
        training=training,
        validation=validation,
        steps=max(steps, default=0),
        alarm=_read_text(folder / ALARM).strip(),
        changed=datetime.fromtimestamp(changed, UTC),
    )


def read_curve(path: Path) -> list[Row]:
    """The rows of a curve's file; [] without one.

    Rows that are cut off or broken are left out, as are those that a resumed run measured again. Files of before
    2026-11-22 have no header; their values are named by the number of their column.
    """
    try:
        lines = list(csv.reader(_read_text(path).splitlines()))
    except csv.Error:
        return []
    if not lines:
        return []
    first = _numbers(lines[0])
    names = lines[0] if first is None else ["step", "seconds", *(f"column {n}" for n in range(3, len(lines[0]) + 1))]
    if names[:2] != ["step", "seconds"]:
        return []
    by_step: dict[float, Row] = {}
    for line in lines if first is not None else lines[1:]:
        values = _numbers(line)
        if values is not None and len(values) == len(names) and all(map(math.isfinite, values[:2])):
            by_step[values[0]] = dict(zip(names, values, strict=True))
    return [by_step[step] for step in sorted(by_step)]


def read_facts(folder: Path) -> dict[str, Any]:
    """run.json, {} if it is missing or broken."""
    try:
        facts = json.loads(_read_text(folder / FACTS))
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}


def _read_recipe(folder: Path) -> dict[str, Any]:
    try:
        recipe = yaml.safe_load(_read_text(folder / RECIPE))
    except yaml.YAMLError:
        return {}
    return recipe if isinstance(recipe, dict) else {}


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _numbers(line: list[str]) -> list[float] | None:
    try:
        return [float(value) for value in line]
    except ValueError:
        return None


def _guess_trainer(folder: Path) -> str:
    return next((trainer for name, trainer in _WEIGHTS.items() if (folder / name).exists()), "")


def _last_change(folder: Path) -> float:
    """When a file of the run was last written, in seconds since 1970; folders are new when they are copied."""
    paths = [*(folder / name for name in (TRAINING, VALIDATION, RECIPE, FACTS)), *(folder / "checkpoints").glob("*.pt")]
    times = []
    for path in paths:
        try:
            times.append(path.stat().st_mtime)
        except OSError:  # it has none, or a trainer is just replacing it
            continue
    return max(times, default=0.0)


def _guess_state(rows: list[Row], changed: float) -> RunState:
    """Of a run without state.json: it runs as long as it is not quiet for three times its longest recent pause."""
    recent = [row["seconds"] for row in rows[-RECENT_ROWS:]]
    pauses = [later - earlier for earlier, later in pairwise(recent)]
    is_quiet = datetime.now(UTC).timestamp() - changed > max(LEAST_QUIET, 3 * max(pauses, default=0.0))
    return RunState.ENDED if is_quiet else RunState.RUNNING
