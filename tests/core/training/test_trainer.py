"""The shared loop: exact resume, learning rate, curve."""

import csv

import pytest
import torch
from torch import nn

from latentsync_core.training.trainer import Schedule, Trainer


def schedule(steps: int) -> Schedule:
    return Schedule(steps=steps, max_minutes=1e9, learning_rate=0.01, warmup_steps=2, checkpoint_minutes=1e9)


def train(run_dir, steps: int, *, stop_after: int | None = None, resume: bool = False) -> dict[str, torch.Tensor]:
    """Train a small net on noise from torch's own generator; `stop_after` saves there and leaves, as a kill would."""
    if not resume:
        torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 1))
    trainer = Trainer(model, run_dir, schedule(steps))
    if resume:
        torch.manual_seed(99)  # must not matter
        trainer.resume()

    def losses() -> dict[str, torch.Tensor]:
        if trainer.step == stop_after:
            trainer._save(0.0)
            raise KeyboardInterrupt
        return {"total": model(torch.randn(5, 4)).square().mean()}

    try:
        trainer.run(losses, lambda: None)
    except KeyboardInterrupt:
        assert stop_after is not None
    return {**model.state_dict(), **{f"ema.{key}": value for key, value in trainer.averaged.state_dict().items()}}


def test_a_resumed_run_ends_bit_for_bit_where_an_unbroken_one_does(tmp_path):
    unbroken = train(tmp_path / "a", 20)
    train(tmp_path / "b", 20, stop_after=7)
    resumed = train(tmp_path / "b", 20, resume=True)
    assert all(torch.equal(unbroken[key], resumed[key]) for key in unbroken)


def test_only_parameters_with_a_gradient_move(tmp_path):
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1))
    model[0].requires_grad_(False)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    trainer = Trainer(model, tmp_path, schedule(5))
    trainer.run(lambda: {"total": model(torch.ones(2, 4)).sum()}, lambda: None)
    moved = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert moved == {"1.weight", "1.bias"}


def test_the_learning_rate_rises_stays_and_falls():
    plan = Schedule(steps=100, max_minutes=1.0, learning_rate=1.0, warmup_steps=10, flat_share=0.5)
    rates = [plan.rate(step, plan.progress(step, 0.0)) for step in (0, 9, 50, 75, 100)]
    assert rates == pytest.approx([0.1, 1.0, 1.0, 0.5, 0.0])


def test_the_clock_can_end_a_run():
    plan = Schedule(steps=10**9, max_minutes=2.0, learning_rate=1.0)
    assert plan.progress(5, 60.0) == 0.5
    assert plan.progress(5, 120.0) == 1.0


def test_the_curve_holds_means_of_fifty_steps(tmp_path):
    model = nn.Linear(1, 1)
    trainer = Trainer(model, tmp_path, schedule(100))
    trainer.run(
        lambda: {"total": model(torch.ones(1, 1)).sum() * 0 + 2.0, "other": torch.tensor(float(trainer.step))},
        lambda: None,
    )
    rows = list(csv.DictReader((tmp_path / "losses.csv").open()))
    assert [(row["step"], float(row["total"]), float(row["other"])) for row in rows] == [
        ("50", 2.0, 24.5),
        ("100", 2.0, 74.5),
    ]
