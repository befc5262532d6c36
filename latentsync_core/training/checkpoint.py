"""Checkpoints: everything a run needs to go on where it was, written atomically."""

import logging
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch

from latentsync_core.errors import BadOption

log = logging.getLogger(__name__)


def save_checkpoint(
    folder: Path, step: int, state: dict[str, Any], randoms: list[dict[str, Any]], keep: int = 2
) -> Path:
    """Write `folder/step_XXXXXXXX.pt` atomically and drop all but the newest `keep`.

    Args:
        state: state dicts by name.
        randoms: the `random_state` of each process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step_{step:08d}.pt"
    unfinished = path.with_suffix(".tmp")
    torch.save({**state, "step": step, "random": randoms[0], "random_of_others": randoms[1:]}, unfinished)
    os.replace(unfinished, path)
    for old in _list_checkpoints(folder)[:-keep]:
        old.unlink()
    return path


def load_latest_checkpoint(folder: Path, process: int = 0) -> dict[str, Any] | None:
    """Read the newest checkpoint of `folder` and restore the random states, or give None when there is none.

    Args:
        process: whose random states; one that the run did not have before keeps its own.
    """
    paths = _list_checkpoints(folder)
    if not paths:
        return None
    state = torch.load(paths[-1], map_location="cpu", weights_only=True)
    randoms = [state.pop("random"), *state.pop("random_of_others", [])]  # those of before 2026-11-22 lack the others
    if process < len(randoms):
        _restore_random_state(randoms[process])
    log.info("resumed from %s", paths[-1])
    return state


def refuse_used_folder(run_dir: Path) -> None:
    """Make sure that a new run does not mix with an old one.

    Raises:
        BadOption: if the folder holds checkpoints.
    """
    if _list_checkpoints(run_dir / "checkpoints"):
        raise BadOption(f"{run_dir} holds a run: --resume latest goes on with it, or name another run_dir")


def _list_checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("step_*.pt"))


def random_state() -> dict[str, Any]:
    """The states of Python's, numpy's legacy and torch's generators, as a checkpoint holds them."""
    version, internal, gauss = random.getstate()
    _, keys, position, has_gauss, cached = np.random.get_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {
        "python": [version, list(internal), gauss],
        "numpy": [torch.from_numpy(np.array(keys, np.int64)), position, has_gauss, cached],
        "torch": torch.get_rng_state(),
        "cuda": cuda,
    }


def _restore_random_state(state: dict[str, Any]) -> None:
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state(("MT19937", keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
