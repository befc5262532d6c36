"""Weights load strictly, safely, and whatever wrapping the published files have."""

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from latentsync_core.errors import BadCheckpoint
from latentsync_core.models.checkpoint import load_strictly, read_state_dict


@pytest.fixture
def network() -> nn.Linear:
    return nn.Linear(3, 2)


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model_state_dict"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_published_wrappings_are_undone(network: nn.Linear, tmp_path: Path, wrapper: str | None, prefix: str):
    weights = {prefix + key: value + 1 for key, value in network.state_dict().items()}
    content = {wrapper: weights, "global_step": 7} if wrapper else weights
    torch.save(content, tmp_path / "weights.pt")
    load_strictly(network, read_state_dict(tmp_path / "weights.pt"), "weights.pt")
    torch.testing.assert_close(network.weight.detach(), weights[prefix + "weight"])


def test_half_precision_safetensors_load_into_the_networks_dtype(network: nn.Linear, tmp_path: Path):
    save_file({key: value.half() for key, value in network.state_dict().items()}, tmp_path / "model.safetensors")
    load_strictly(network, read_state_dict(tmp_path / "model.safetensors"), "model")
    assert network.weight.dtype == torch.float32


def test_every_misfit_is_named(network: nn.Linear):
    weights = {"weight": torch.zeros(2, 4), "surplus": torch.zeros(1)}
    with pytest.raises(BadCheckpoint) as caught:
        load_strictly(network, weights, "some file")
    message = str(caught.value)
    assert "some file does not fit Linear" in message
    assert "1 missing: bias" in message
    assert "1 unexpected: surplus" in message
    assert "weight (2, 4) instead of (2, 3)" in message


class Trap:
    """Would write a file if it were unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (str(self.path),))


def test_a_file_cannot_run_code(tmp_path: Path):
    sprung = tmp_path / "sprung"
    torch.save({"weight": Trap(sprung)}, tmp_path / "trap.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Trap(sprung)))
    for name in ("trap.pt", "plain.pt"):
        with pytest.raises(BadCheckpoint, match=name):
            read_state_dict(tmp_path / name)
    assert not sprung.exists()


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
@pytest.mark.parametrize("content", [b"", b"no weights at all", None])
def test_a_broken_file_is_named(tmp_path: Path, name: str, content: bytes | None):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BadCheckpoint, match=name):
        read_state_dict(tmp_path / name)


def test_a_file_without_weights_is_refused(tmp_path: Path):
    torch.save({"steps": 3}, tmp_path / "steps.pt")
    with pytest.raises(BadCheckpoint, match="holds no weights"):
        read_state_dict(tmp_path / "steps.pt")
