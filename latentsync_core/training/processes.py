"""Several processes train one model: `accelerate launch --multi_gpu ...`, or `torchrun ...` on CPUs (docs/train.md).

Every process draws other batches; their gradients are averaged before each step, so all models stay the same, and a
step is one of a batch that is N times as large. Gradients are averaged once they are all there, not while they are
computed as DistributedDataParallel does: several forward passes and gradients of gradients (the discriminator's) need
no care then. Running statistics of batch norms are those of the first process.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed, nn


@dataclass(frozen=True)
class Processes:
    """How many processes there are, and which one this is; alone, all methods give back what they are given."""

    count: int = 1
    index: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this one writes the files."""
        return self.index == 0

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """The others enter when the main process has left: they find the caches that it wrote."""
        if not self.is_main:
            distributed.barrier()
        yield
        if self.is_main and self.count > 1:
            distributed.barrier()

    def share_weights(self, module: nn.Module) -> None:
        """Give all processes the main one's parameters and buffers."""
        if self.count > 1:
            for tensor in module.state_dict().values():
                distributed.broadcast(tensor, 0)

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by its mean over the processes; all must have gradients of the same parameters."""
        if self.count == 1:
            return
        for parameter in parameters:
            if parameter.grad is not None:
                distributed.all_reduce(parameter.grad)
                parameter.grad /= self.count

    def highest(self, values: tuple[float, ...], device: torch.device) -> tuple[float, ...]:
        """The highest of each value over the processes; the device is the one that they talk through."""
        if self.count == 1:
            return values
        tensor = torch.tensor(values, dtype=torch.float64, device=device)
        distributed.all_reduce(tensor, distributed.ReduceOp.MAX)
        return tuple(tensor.tolist())

    def gather(self, value: Any) -> list[Any]:
        """What each process has, in their order."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        distributed.all_gather_object(values, value)
        return values


ALONE = Processes()


def join_processes(device: torch.device) -> Processes:
    """The processes that were launched together with this one; on GPUs each takes its own as the current device."""
    from accelerate import PartialState  # here, because it takes seconds to load

    state = PartialState(cpu=device.type == "cpu")
    return Processes(state.num_processes, state.process_index)
