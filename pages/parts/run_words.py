"""What a training run does and how far it is, as people read it."""

import math

from latentsync_core.training.run_state import RunState
from latentsync_core.training.runs import Row, TrainingRun

TRAINER_WORDS = {
    "train-vae": "Autoencoder",
    "train-audio": "Audio encoder",
    "train-syncnet": "SyncNet",
    "train-unet": "U-Net",
    "": "Unknown",
}
STATE_WORDS: dict[RunState, str] = {
    RunState.RUNNING: "Running",
    RunState.FINISHED: "Finished",
    RunState.STOPPED: "Stopped",
    RunState.ENDED: "Ended",
}
#: The badge of a job that looks alike.
_BADGES: dict[RunState, str] = {
    RunState.RUNNING: "running",
    RunState.FINISHED: "finished",
    RunState.STOPPED: "queued",
    RunState.ENDED: "cancelled",
}
_MEASURE_WORDS = {
    "total": "Loss",
    "waiting_seconds": "Waiting for data, seconds per batch",
    "hole_error": "Error of the mouth's latents",
    "movement_error": "Error of the mouth's movement, grey levels",
}
_SHARES = ("accuracy",)
MAIN_MEASURES = ("total", "training_loss", "column 3")  # of which a curve has one: what is minimised


def run_badge(state: RunState) -> str:
    """Give the HTML of a run's state as a coloured badge."""
    return f'<span class="ls-badge ls-badge-{_BADGES[state]}">{STATE_WORDS[state]}</span>'


def measure_words(name: str) -> str:
    """Name what a column of a curve measures: "waiting_seconds" is "Waiting for data, seconds per batch"."""
    return _MEASURE_WORDS.get(name, name.replace("_", " ").capitalize())


def value_words(name: str, value: float) -> str:
    """Say a measured value: "0.238", "67 %" of an accuracy; "not a number" for a loss that left them."""
    if not math.isfinite(value):
        return "not a number"
    return f"{100 * value:.1f} %" if name in _SHARES else f"{value:.3g}"


def steps_words(run: TrainingRun) -> str:
    """Say how many steps are done: "800 of 8 000", or "800" if nobody knows of how many.

    A run that its clock ended has done "800 of at most 8 000".
    """
    done = _thousands(run.steps)
    if not run.planned_steps:
        return done
    by_clock = run.state is RunState.FINISHED and run.steps < run.planned_steps
    return f"{done} of {'at most ' if by_clock else ''}{_thousands(run.planned_steps)}"


def speed_words(run: TrainingRun) -> str:
    """Say how fast a run learns: "12.3 windows/s", or "0.97 s per step" if its settings are not known; "" at first."""
    if run.seconds_per_step is None:
        return ""
    if run.items_per_step is None:
        return f"{run.seconds_per_step:.3g} s per step"
    items = "patches" if run.trainer == "train-vae" else "windows"
    return f"{run.items_per_step / run.seconds_per_step:.3g} {items}/s"


def last_losses(run: TrainingRun) -> dict[str, str]:
    """The newest measurements that matter: the loss, and what was measured on held-out people but judges."""
    found = {}
    if run.training:
        name = _main_measure(run.training[-1])
        found["Loss"] = value_words(name, run.training[-1][name]) if name else ""
    if run.validation:
        names = [name for name in run.validation[-1] if name not in ("step", "seconds", "training_loss")]
        for name in [name for name in names if not name.startswith(("component", "column", "judge_"))]:
            found[f"Held-out {measure_words(name).lower()}"] = value_words(name, run.validation[-1][name])
    return {name: text for name, text in found.items() if text}


def _main_measure(row: Row) -> str | None:
    return next((name for name in MAIN_MEASURES if name in row), None)


def _thousands(number: int) -> str:
    return f"{number:,}".replace(",", "\u202f")
