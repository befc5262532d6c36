"""The loop that all trainers share: optimiser, EMA, learning rate, checkpoints, curve, resume."""

import csv
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from latentsync_core.training.checkpoint import load_latest_checkpoint, save_checkpoint

log = logging.getLogger(__name__)

LOG_EVERY = 50  # steps


@dataclass(frozen=True)
class Schedule:
    """How long and how fast.

    Attributes:
        steps: optimiser steps at most.
        max_minutes: of training in all, resumed runs included; a run that ends by the clock cannot be repeated exactly.
        learning_rate: its peak.
        warmup_steps: linear rise from 0.
        flat_share: share of the run at the peak; then linear to 0.
        ema_decay: of the averaged weights, per step.
        checkpoint_minutes: between two checkpoints.
    """

    steps: int
    max_minutes: float
    learning_rate: float
    warmup_steps: int = 200
    flat_share: float = 0.5
    ema_decay: float = 0.999
    checkpoint_minutes: float = 4.0

    def progress(self, step: int, seconds: float) -> float:
        """How far the run is, 0..1 and beyond."""
        return max(step / self.steps, seconds / (60 * self.max_minutes))

    def rate(self, step: int, progress: float) -> float:
        """The learning rate of a step."""
        warm = min(1.0, (step + 1) / self.warmup_steps)
        return self.learning_rate * warm * min(1.0, (1 - progress) / (1 - self.flat_share))


class Stateful(Protocol):
    """What belongs to a run beside its model, such as a discriminator with its optimiser."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any], /) -> Any: ...


class Trainer:
    """Trains `model`'s parameters that require a gradient; its state lies in `run_dir/checkpoints`.

    Args:
        companions: by name, what is saved and resumed with the model.

    Attributes:
        step: optimiser steps done, those of resumed runs included.
    """

    def __init__(
        self,
        model: nn.Module,
        run_dir: Path,
        schedule: Schedule,
        weight_decay: float = 0.01,
        companions: Mapping[str, Stateful] | None = None,
    ) -> None:
        self._model, self._run_dir, self._schedule = model, run_dir, schedule
        self._companions = companions or {}
        self._parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._ema = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(schedule.ema_decay))
        self._optimizer = torch.optim.AdamW(
            self._parameters, schedule.learning_rate, betas=(0.9, 0.99), weight_decay=weight_decay
        )
        self.step = 0
        self._seconds_before = 0.0

    @property
    def averaged(self) -> nn.Module:
        """The model with the averaged weights."""
        module: nn.Module = self._ema.module
        return module

    def resume(self) -> None:
        """Go on from the newest checkpoint, if there is one; restores the random states too."""
        state = load_latest_checkpoint(self._run_dir / "checkpoints")
        if state is None:
            return
        self._model.load_state_dict(state["model"])
        self._ema.load_state_dict(state["ema"])
        self._optimizer.load_state_dict(state["optimizer"])
        for name, companion in self._companions.items():
            companion.load_state_dict(state["companions"][name])
        self.step, self._seconds_before = state["step"], state["seconds"]

    def run(self, losses_of_next_batch: Callable[[], dict[str, Tensor]], on_checkpoint: Callable[[], None]) -> None:
        """Train to the end of the schedule.

        Args:
            losses_of_next_batch: the losses by name, scalars; "total" is what is minimised.
            on_checkpoint: called after every checkpoint, the last one included.
        """
        self._run_dir.mkdir(parents=True, exist_ok=True)
        start = last_save = time.monotonic()
        recent: list[dict[str, float]] = []
        while True:
            seconds = self._seconds_before + time.monotonic() - start
            progress = self._schedule.progress(self.step, seconds)
            is_over = progress >= 1
            if is_over or time.monotonic() - last_save > 60 * self._schedule.checkpoint_minutes:
                self._save(seconds)
                on_checkpoint()
                last_save = time.monotonic()
            if is_over:
                return
            losses = losses_of_next_batch()
            self._update(losses["total"], self._schedule.rate(self.step, progress))
            recent.append({name: value.item() for name, value in losses.items()})
            if self.step % LOG_EVERY == 0:
                self._write_curve(seconds, recent)
                recent = []

    def _update(self, loss: Tensor, rate: float) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimizer.step()
        self._ema.update_parameters(self._model)
        self.step += 1

    def _save(self, seconds: float) -> None:
        state = {
            "model": self._model.state_dict(),
            "ema": self._ema.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "companions": {name: companion.state_dict() for name, companion in self._companions.items()},
            "seconds": seconds,
        }
        save_checkpoint(self._run_dir / "checkpoints", self.step, state, keep=1)

    def _write_curve(self, seconds: float, recent: list[dict[str, float]]) -> None:
        means = {name: sum(losses[name] for losses in recent) / len(recent) for name in recent[0]}
        path = self._run_dir / "losses.csv"
        is_new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if is_new:
                writer.writerow(["step", "seconds", *means])
            writer.writerow([self.step, round(seconds, 1), *(round(value, 5) for value in means.values())])
