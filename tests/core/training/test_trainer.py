"""The shared loop: exact resume, clean interrupt, learning rate, curve."""

import csv
import os
import signal
from dataclasses import replace

import pytest
import torch
from torch import nn

from latentsync_core.errors import BadOption, Cancelled
from latentsync_core.training.checkpoint import refuse_used_folder
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


def test_the_curve_of_a_resumed_run_is_that_of_an_unbroken_one(tmp_path):
    train(tmp_path / "a", 100)
    train(tmp_path / "b", 100, stop_after=60)
    (tmp_path / "b" / "losses.csv").open("a").write("70,1.0,5.0\n")  # a step after the checkpoint, then killed
    train(tmp_path / "b", 100, resume=True)
    rows = [list(csv.DictReader((tmp_path / name / "losses.csv").open())) for name in ("a", "b")]
    assert [(row["step"], row["total"]) for row in rows[0]] == [(row["step"], row["total"]) for row in rows[1]]


@pytest.fixture
def heard_signals():
    """SIGINT and SIGTERM are listened to, also by tests that a shell started with `&`."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    given = [signal.signal(number, signal.default_int_handler) for number in numbers]
    yield
    for number, handler in zip(numbers, given, strict=True):
        signal.signal(number, handler)


@pytest.mark.usefixtures("heard_signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_step_and_leaves_a_checkpoint(tmp_path, number):
    model = nn.Linear(1, 1)
    trainer = Trainer(model, tmp_path, schedule(100))
    before = signal.getsignal(number)

    def losses() -> dict[str, torch.Tensor]:
        if trainer.step == 6:
            os.kill(os.getpid(), number)
        return {"total": model(torch.ones(1, 1)).sum()}

    with pytest.raises(Cancelled, match=f"{number.name} at step 7"):
        trainer.run(losses, lambda: None)
    assert signal.getsignal(number) == before
    resumed = Trainer(nn.Linear(1, 1), tmp_path, schedule(100))
    resumed.resume()
    assert resumed.step == 7


def test_a_step_of_several_batches_is_a_step_of_one_large_batch(tmp_path):
    generator = torch.Generator().manual_seed(0)
    data = torch.randn(10, 2, 6, 4, generator=generator)  # steps, batches of a step, items, values
    weights = []
    for batches in (1, 2):
        torch.manual_seed(0)
        model = nn.Linear(4, 1).double()
        plan = replace(schedule(10), batches_per_step=batches)
        trainer = Trainer(model, tmp_path / str(batches), plan)
        parts = data.double().flatten(0, 1) if batches == 2 else data.double().flatten(1, 2)

        def losses(model=model, trainer=trainer, parts=parts) -> dict[str, torch.Tensor]:
            return {"total": (model(parts[trainer.batch]) - 1).square().mean()}

        trainer.run(losses, lambda: None)
        assert trainer.batch == 10 * batches
        weights.append(model.weight.detach())
    assert torch.allclose(*weights, rtol=1e-9)


def test_a_step_that_overflows_is_left_out_and_the_loss_scale_is_resumed(tmp_path):
    model = nn.Linear(1, 1)
    trainer = Trainer(model, tmp_path, schedule(3), loss_scaling=True)
    weights = []

    def losses() -> dict[str, torch.Tensor]:
        weights.append(model.weight.item())
        factor = float("inf") if trainer.step == 1 else 1.0
        return {"total": model(torch.ones(1, 1)).sum() * factor}

    trainer.run(losses, lambda: None)
    assert weights[0] != weights[1] == weights[2] != model.weight.item()
    scale = torch.load(tmp_path / "checkpoints" / "step_00000003.pt", weights_only=True)["scaler"]["scale"]
    assert scale == 2.0**15  # halved once
    resumed = Trainer(nn.Linear(1, 1), tmp_path, schedule(3), loss_scaling=True)
    resumed.resume()
    assert resumed._scaler.get_scale() == scale


def test_loss_scaling_changes_no_step_that_does_not_overflow(tmp_path):
    ends = []
    for scaled in (False, True):
        torch.manual_seed(0)
        model = nn.Linear(4, 1)
        trainer = Trainer(model, tmp_path / str(scaled), schedule(5), loss_scaling=scaled)
        trainer.run(lambda model=model: {"total": model(torch.randn(3, 4)).square().mean()}, lambda: None)
        ends.append(model.weight.detach())
    assert torch.allclose(*ends, rtol=1e-5)


def test_without_averaging_the_model_itself_is_the_result(tmp_path):
    model = nn.Linear(1, 1)
    trainer = Trainer(model, tmp_path, replace(schedule(3), ema_decay=0.0))
    trainer.run(lambda: {"total": model(torch.ones(1, 1)).sum()}, lambda: None)
    assert trainer.averaged is model
    resumed = Trainer(nn.Linear(1, 1), tmp_path, replace(schedule(3), ema_decay=0.0))
    resumed.resume()
    assert torch.equal(resumed.averaged.weight, model.weight)


def test_the_newest_checkpoints_are_kept(tmp_path):
    model = nn.Linear(1, 1)
    plan = replace(schedule(10), checkpoint_steps=2, keep_checkpoints=3)
    Trainer(model, tmp_path, plan).run(lambda: {"total": model(torch.ones(1, 1)).sum()}, lambda: None)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["step_00000006.pt", "step_00000008.pt", "step_00000010.pt"]


def test_a_checkpoint_of_the_first_trainer_still_loads(tmp_path):
    """The keys that checkpoints had before curves were saved with them."""
    model = nn.Linear(1, 1)
    trainer = Trainer(model, tmp_path, schedule(3))
    trainer.run(lambda: {"total": model(torch.ones(1, 1)).sum()}, lambda: None)
    path = tmp_path / "checkpoints" / "step_00000003.pt"
    state = torch.load(path, weights_only=True)
    del state["recent"], state["companions"]
    torch.save(state, path)
    resumed = Trainer(nn.Linear(1, 1), tmp_path, schedule(5))
    resumed.resume()
    assert resumed.step == resumed.batch == 3


def test_a_new_run_does_not_mix_with_an_old_one(tmp_path):
    refuse_used_folder(tmp_path)
    train(tmp_path, 5)
    with pytest.raises(BadOption, match="--resume latest"):
        refuse_used_folder(tmp_path)
