"""One run that is killed in mid-step and resumed, beside one that is not: both must end with the same bits.

As a program (`python -m tests.core.training.killed_run STEP train-... RECIPE.yaml ...`) it is the run that dies.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentsync_core.cli import main
from latentsync_core.training.trainer import Trainer
from tests.conftest import REPOSITORY


def run_unbroken_and_killed(
    command: str, recipe: Path, *, steps: int, checkpoint_steps: int, killed_in_step: int
) -> tuple[Path, Path]:
    """Run a recipe of `steps` steps twice, and compare the last checkpoints bit by bit; all on one torch thread.

    Args:
        command: `train-vae`, `train-syncnet` or `train-unet`.
        killed_in_step: when the losses of this step are known, and whatever else they taught, but no weight moved.

    Returns:
        the run folders, of the unbroken and of the killed run, beside the recipe.
    """
    unbroken, killed = (recipe.parent / name for name in ("unbroken", "killed"))
    assert main([command, str(recipe), "--set", f"run_dir={unbroken}"]) == 0
    arguments = [command, str(recipe), "--set", f"run_dir={killed}", "--set", f"checkpoint_steps={checkpoint_steps}"]
    program = [sys.executable, "-m", "tests.core.training.killed_run", str(killed_in_step), *arguments]
    died = subprocess.run(program, cwd=REPOSITORY, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False, timeout=180)
    assert died.returncode == -signal.SIGKILL
    last = max((killed / "checkpoints").iterdir())
    assert last.name == f"step_{killed_in_step // checkpoint_steps * checkpoint_steps:08d}.pt"
    assert main([*arguments, "--resume", "latest"]) == 0
    _compare(*(run / "checkpoints" / f"step_{steps:08d}.pt" for run in (unbroken, killed)))
    return unbroken, killed


def _compare(unbroken: Path, killed: Path) -> None:
    states = [torch.load(path, weights_only=True) for path in (unbroken, killed)]
    for state in states:
        del state["seconds"], state["recent"]  # what the clock measured; losses are compared by their curve
        state["random"] = state["random"]["torch"]  # no trainer draws from Python's or numpy's own
    assert states[0].keys() == states[1].keys()
    for part in states[0]:
        assert _bits(states[0][part]) == _bits(states[1][part]), part


def _bits(state: Any) -> str:
    """All that a part of a checkpoint holds, tensors bit by bit."""
    if isinstance(state, Tensor):
        return f"{state.dtype}{tuple(state.shape)}{state.contiguous().numpy().tobytes().hex()}"
    if isinstance(state, dict):
        return repr([(key, _bits(value)) for key, value in state.items()])
    if isinstance(state, list | tuple):
        return repr([_bits(value) for value in state])
    return repr(state)


def _die_in_step(step: int) -> None:
    """Let every trainer of this process die of SIGKILL between the losses of a step and the step itself."""
    take_step = Trainer._take_step

    def take_or_die(self: Trainer, losses_of_next_batch: Any, rate: float) -> None:
        if self.step == step:
            losses_of_next_batch()["total"].backward()
            os.kill(os.getpid(), signal.SIGKILL)
        take_step(self, losses_of_next_batch, rate)

    Trainer._take_step = take_or_die  # type: ignore[method-assign]


if __name__ == "__main__":
    _die_in_step(int(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))
