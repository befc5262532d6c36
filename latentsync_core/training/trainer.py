"""The loop that all trainers share: optimiser, EMA, learning rate, checkpoints, curve, resume."""

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from latentsync_core.errors import Cancelled
from latentsync_core.training.checkpoint import load_latest_checkpoint, random_state, save_checkpoint
from latentsync_core.training.curves import Board, Curve
from latentsync_core.training.processes import ALONE, Processes
from latentsync_core.training.run_state import RunMark
from latentsync_core.training.step_bar import StepBar
from latentsync_core.training.stop_signals import StopSignals

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Schedule:
    """How long and how fast.

    Attributes:
        steps: optimiser steps at most.
        max_minutes: of training in all, resumed runs included; a run that ends by the clock cannot be repeated exactly.
        learning_rate: its peak.
        warmup_steps: linear rise from 0.
        flat_share: share of the run at the peak; then linear to 0.
        ema_decay: of the averaged weights, per step; 0 = none are kept.
        checkpoint_minutes: between two checkpoints.
        checkpoint_steps: between two checkpoints, whichever comes first; 0 = by the clock only.
        keep_checkpoints: so many of the newest.
        batches_per_step: whose gradients are averaged for one optimiser step.
        log_every: steps whose mean makes a point of the curve.
    """

    steps: int
    max_minutes: float
    learning_rate: float
    warmup_steps: int = 200
    flat_share: float = 0.5
    ema_decay: float = 0.999
    checkpoint_minutes: float = 4.0
    checkpoint_steps: int = 0
    keep_checkpoints: int = 1
    batches_per_step: int = 1
    log_every: int = 50

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
        board: shows the curve while it grows.
        loss_scaling: keep small gradients from vanishing in float16 arithmetic; a step that overflows is left out.
        processes: that train together; the main one alone writes files, and its losses make the curve.

    Attributes:
        step: optimiser steps done, those of resumed runs included.
        seconds: of training, those of resumed runs included.
        batch: number of the batch to draw, the position in the data: the step, if one process takes one each.
    """

    def __init__(
        self,
        model: nn.Module,
        run_dir: Path,
        schedule: Schedule,
        weight_decay: float = 0.01,
        companions: Mapping[str, Stateful] | None = None,
        board: Board | None = None,
        loss_scaling: bool = False,
        processes: Processes = ALONE,
    ) -> None:
        processes.share_weights(model)
        if not processes.is_main:
            torch.manual_seed(torch.initial_seed() + processes.index)  # else all would draw the same noise
        self._processes = processes
        self._model, self._run_dir, self._schedule = model, run_dir, schedule
        self._companions = companions or {}
        self._parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._ema: AveragedModel | None = None
        if schedule.ema_decay:
            self._ema = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(schedule.ema_decay))
        self._optimizer = torch.optim.AdamW(
            self._parameters, schedule.learning_rate, betas=(0.9, 0.99), weight_decay=weight_decay
        )
        self._scaler = torch.amp.GradScaler(self._parameters[0].device.type, enabled=loss_scaling)
        self.step, self.batch = 0, processes.index
        self.curve = Curve(run_dir / "losses.csv", board)
        self._recent: list[dict[str, float]] = []  # losses that are not in the curve yet
        self._saved_step, self.seconds = 0, 0.0
        self._stop = StopSignals()

    @property
    def averaged(self) -> nn.Module:
        """The model with the averaged weights, or the model itself where none are kept."""
        module: nn.Module = self._model if self._ema is None else self._ema.module
        return module

    @property
    def is_stopping(self) -> bool:
        """Whether a signal has asked this process to stop: what takes long beside the steps should end early."""
        return bool(self._stop.received)

    def resume(self) -> None:
        """Go on from the newest checkpoint, if there is one; restores the random states too."""
        state = load_latest_checkpoint(self._run_dir / "checkpoints", self._processes.index)
        if state is None:
            return
        self._model.load_state_dict(state["model"])
        if self._ema is not None:
            self._ema.load_state_dict(state["ema"])
        self._optimizer.load_state_dict(state["optimizer"])
        for name, companion in self._companions.items():
            companion.load_state_dict(state["companions"][name])
        if state.get("scaler"):  # empty without loss scaling, missing in checkpoints of before 2026-11-22
            self._scaler.load_state_dict(state["scaler"])
        self.step, self.seconds = state["step"], state["seconds"]
        processes = self._processes
        self.batch = self.step * self._schedule.batches_per_step * processes.count + processes.index
        self._saved_step = self.step
        self._recent = state.get("recent", [])  # checkpoints of before 2026-11-22 lack it
        if processes.is_main:
            self.curve.forget_after(self.step)

    def run(
        self,
        losses_of_next_batch: Callable[[], dict[str, Tensor]],
        on_checkpoint: Callable[[], None],
        after_step: Callable[[], None] | None = None,
    ) -> None:
        """Train to the end of the schedule.

        Args:
            losses_of_next_batch: the losses by name, scalars, of batch number `batch`; "total" is what is
                minimised, unless there is one named "minimised".
            on_checkpoint: called by the main process after every checkpoint, the last one included.
            after_step: called by the main process after every step, before the checkpoint that may follow it.

        Raises:
            BadOption: if another process trains in this folder.
            Cancelled: after SIGINT or SIGTERM; the step was finished and a checkpoint written.
        """
        self._run_dir.mkdir(parents=True, exist_ok=True)
        last_save = time.monotonic()
        start = last_save - self.seconds
        schedule, is_main = self._schedule, self._processes.is_main
        self._stop = StopSignals()
        with (
            self._stop as stop,
            RunMark(self._run_dir) if is_main else nullcontext(),
            StepBar(schedule.steps, schedule.max_minutes, self.step, self.seconds, is_main) as bar,
        ):
            while True:
                now = time.monotonic()
                self.seconds, since_save, is_stopped = self._processes.highest(
                    (now - start, now - last_save, float(bool(stop.received))), self._parameters[0].device
                )
                progress = schedule.progress(self.step, self.seconds)
                is_over = progress >= 1
                if is_over or is_stopped or self._is_checkpoint_due(since_save):
                    self._save(self.seconds)
                    if is_main:
                        on_checkpoint()
                    last_save = time.monotonic()
                if is_over:
                    return
                if is_stopped:
                    reason = stop.received or "another process's signal"
                    log.warning("%s: stopped, --resume latest goes on", reason)
                    raise Cancelled(f"{reason} at step {self.step}; its checkpoint is saved")
                self._take_step(losses_of_next_batch, schedule.rate(self.step, progress))
                bar.show(self.step, self.seconds, self._recent[-1]["total"])
                if self.step % schedule.log_every == 0:
                    if is_main:
                        means = _means(self._recent)
                        self.curve.add(self.step, self.seconds, means)
                        bar.note(self.step, self.seconds, means["total"])
                    self._recent = []
                if after_step is not None and is_main:
                    after_step()

    def _is_checkpoint_due(self, seconds_since: float) -> bool:
        every = self._schedule.checkpoint_steps
        by_steps = every > 0 and self.step % every == 0 and self.step > self._saved_step
        return by_steps or seconds_since > 60 * self._schedule.checkpoint_minutes

    def _take_step(self, losses_of_next_batch: Callable[[], dict[str, Tensor]], rate: float) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        batches = []
        for number in range(self._schedule.batches_per_step):
            losses = losses_of_next_batch()
            if number == 0:
                self._optimizer.zero_grad()
            minimised = losses.get("minimised", losses["total"])
            self._scaler.scale(minimised / self._schedule.batches_per_step).backward()
            batches.append({name: value.item() for name, value in losses.items()})
            self.batch += self._processes.count
        self._processes.average_gradients(self._parameters)
        self._scaler.unscale_(self._optimizer)
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        if self._ema is not None:
            self._ema.update_parameters(self._model)
        self.step += 1
        self._recent.append(_means(batches))

    def _save(self, seconds: float) -> None:
        state = {
            "model": self._model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scaler": self._scaler.state_dict(),
            "companions": {name: companion.state_dict() for name, companion in self._companions.items()},
            "seconds": seconds,
            "recent": self._recent,
        }
        if self._ema is not None:
            state["ema"] = self._ema.state_dict()
        randoms = self._processes.gather(random_state())
        if self._processes.is_main:
            folder, keep = self._run_dir / "checkpoints", self._schedule.keep_checkpoints
            save_checkpoint(folder, self.step, state, randoms, keep)
        self._saved_step = self.step


def _means(losses: list[dict[str, float]]) -> dict[str, float]:
    return {name: sum(each[name] for each in losses) / len(losses) for name in losses[0]}
