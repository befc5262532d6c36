"""Two processes over gloo, started as torchrun starts them: together they are one with a larger batch.

As a program (`python -m tests.core.training.test_processes FOLDER`) this file is one of the two.
"""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from latentsync_core.errors import Cancelled
from latentsync_core.training.latent_discriminator import Adversary, LatentDiscriminator
from latentsync_core.training.processes import ALONE, Processes, join_processes
from latentsync_core.training.trainer import Schedule, Trainer
from tests.conftest import REPOSITORY

STEPS = 5
CPU = torch.device("cpu")
PLAN = Schedule(
    STEPS, max_minutes=1e9, learning_rate=0.1, warmup_steps=1, ema_decay=0.5, batches_per_step=2, log_every=1
)

pytestmark = [pytest.mark.usefixtures("one_torch_thread"), pytest.mark.timeout(240)]


def some_pictures() -> torch.Tensor:
    """Pictures (steps, batches of a step, processes, items, 3, 4, 4)."""
    return torch.randn(STEPS, 2, 2, 3, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def some_latents() -> torch.Tensor:
    """Real and fake ones (2, N, 4, 4, 4)."""
    return torch.randn(2, 4, 4, 4, 4, generator=torch.Generator().manual_seed(1))


def train(folder: Path, processes: Processes, batches: torch.Tensor) -> tuple[nn.Module, torch.Tensor]:
    """Train a small network on batches (N, items, 3, 4, 4) by number; gives it and its last gradient."""
    torch.manual_seed(processes.index)  # the main process's weights must win
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(16, 1)).double()
    network = network.to(memory_format=torch.channels_last)
    trainer = Trainer(network, folder, PLAN, processes=processes)
    trainer.run(lambda: {"total": (network(batches[trainer.batch]) - 1).square().mean()}, lambda: None)
    return network, torch.cat([parameter.grad.flatten() for parameter in network.parameters()])


def train_noisily(folder: Path, processes: Processes, stop_at: int = -1, resume: bool = False) -> dict:
    """Train on torch's own noise; a signal reaches the second process only, at step `stop_at`."""
    torch.manual_seed(0)
    network = nn.Linear(4, 1)
    trainer = Trainer(network, folder, PLAN, processes=processes)
    if resume:
        torch.manual_seed(99)  # must not matter
        trainer.resume()
    first = trainer.batch
    noise = []

    def losses() -> dict[str, torch.Tensor]:
        if trainer.step == stop_at and processes.index == 1 and not trainer.batch // 2 % 2:
            os.kill(os.getpid(), signal.SIGTERM)
        noise.append(torch.randn(3, 4))
        return {"total": network(noise[-1]).square().mean()}

    error = ""
    try:
        trainer.run(losses, lambda: None)
    except Cancelled as cancelled:
        error = str(cancelled)
    return {"weight": network.weight.detach(), "noise": noise[-1], "error": error, "first": first}


def teach_discriminator(processes: Processes, latents: torch.Tensor) -> dict[str, torch.Tensor]:
    """The gradients of one step of the discriminator on real and fake latents (2, N, 4, 4, 4)."""
    torch.manual_seed(processes.index)
    adversary = Adversary(LatentDiscriminator(4, 8, width=8), 1e-2, "fp32", processes)
    adversary.learn(latents[0], latents[1], latents[0], torch.ones(len(latents[0]), 2, 8))
    return {name: parameter.grad for name, parameter in adversary.discriminator.named_parameters()}


def be_one_of_two(folder: Path) -> None:
    """Everything that the tests look at, in one go: starting a process takes seconds."""
    processes = join_processes(CPU)
    network, gradient = train(folder / "run", processes, some_pictures().flatten(0, 2))
    share = slice(2 * processes.index, 2 * processes.index + 2)
    result = {
        "count": processes.count,
        "weights": network.state_dict(),
        "gradient": gradient,
        "discriminator": teach_discriminator(processes, some_latents()[:, share]),
        "unbroken": train_noisily(folder / "unbroken", processes),
        "stopped": train_noisily(folder / "stopped", processes, stop_at=2),
        "resumed": train_noisily(folder / "stopped", processes, resume=True),
    }
    torch.save(result, folder / f"{processes.index}.pt")


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> tuple[Path, list[dict]]:
    """The folder of both, and what each found."""
    folder = tmp_path_factory.mktemp("two")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.core.training.test_processes", str(folder)],
            cwd=REPOSITORY,
            env={**os.environ, **shared, "RANK": str(index), "LOCAL_RANK": str(index), "OMP_NUM_THREADS": "1"},
        )
        for index in range(2)
    ]
    try:
        assert [process.wait(timeout=220) for process in started] == [0, 0]
    finally:
        for process in started:
            process.kill()
    return folder, [torch.load(folder / f"{index}.pt", weights_only=True) for index in range(2)]


def test_two_processes_have_the_gradients_of_one_with_the_doubled_batch(two, tmp_path):
    _, results = two
    network, gradient = train(tmp_path, ALONE, some_pictures().flatten(2, 3).flatten(0, 1))
    for result in results:
        assert result["count"] == 2
        assert torch.allclose(result["gradient"], gradient, rtol=1e-9)
        for name, tensor in network.state_dict().items():
            assert torch.allclose(result["weights"][name], tensor, rtol=1e-9), name
    assert all(torch.equal(results[0]["weights"][name], results[1]["weights"][name]) for name in results[0]["weights"])


def test_the_discriminator_learns_from_both_too(two):
    _, results = two
    alone = teach_discriminator(ALONE, some_latents())
    for name, gradient in alone.items():
        for result in results:
            assert torch.allclose(result["discriminator"][name], gradient, rtol=1e-4, atol=1e-7), name


def test_the_main_process_alone_writes(two):
    folder, _ = two
    assert len((folder / "run" / "losses.csv").read_text().splitlines()) == 1 + STEPS
    assert [path.name for path in (folder / "run" / "checkpoints").iterdir()] == [f"step_{STEPS:08d}.pt"]


def test_a_signal_to_one_stops_both_and_they_resume_bit_for_bit(two):
    _, results = two
    reasons = [result["stopped"]["error"].split(" at ")[0] for result in results]
    assert reasons == ["another process's signal", "SIGTERM"]
    assert [result["resumed"]["first"] for result in results] == [3 * 2 * 2, 3 * 2 * 2 + 1]
    for result in results:
        assert torch.equal(result["resumed"]["weight"], result["unbroken"]["weight"])
        assert torch.equal(result["resumed"]["noise"], result["unbroken"]["noise"])
    assert not torch.equal(results[0]["unbroken"]["noise"], results[1]["unbroken"]["noise"])


def test_alone_nothing_is_asked_of_anyone():
    assert join_processes(CPU) == ALONE
    weight = nn.Parameter(torch.ones(2))
    weight.grad = torch.tensor([1.0, 2.0])
    ALONE.average_gradients([weight])
    assert weight.grad.tolist() == [1.0, 2.0]
    assert ALONE.highest((0.1, 0.2), CPU) == (0.1, 0.2)
    assert ALONE.gather("state") == ["state"]


if __name__ == "__main__":
    torch.set_num_threads(1)
    be_one_of_two(Path(sys.argv[1]))
