"""The two numbers that bound a computation: its operations and its bytes, counted without computing anything.

Operations are those of torch.utils.flop_counter: matrix products, convolutions, attention; a multiply-add is two.
Bytes are given twice. `least` is what no program can avoid: every weight, input and result passes once between memory
and processor. `moved` is what this program moves if nothing stays in a cache: each operation reads its inputs and
writes its result. The way from one to the other is what fusing operations could win.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

#: Operations whose result is not written when they return.
NOT_WRITTEN = ("aten::empty", "aten::empty_like", "aten::new_empty", "aten::empty_strided")


def _attention_flops(query: Any, key: Any, value: Any, *_: Any, out_shape: Any = None, **__: Any) -> int:
    return int(sdpa_flop_count(query, key, value))


#: torch counts attention on GPUs only.
CPU_ATTENTION = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops}


@dataclass(frozen=True)
class Cost:
    """Operations and bytes of some work.

    Attributes:
        flops: floating-point operations.
        least_bytes: weights, inputs and results, each once.
        moved_bytes: inputs and results of every operation.
    """

    flops: float
    least_bytes: float
    moved_bytes: float

    def times(self, factor: float) -> "Cost":
        """Give the cost of so many times the work."""
        return Cost(self.flops * factor, self.least_bytes * factor, self.moved_bytes * factor)

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.flops + other.flops, self.least_bytes + other.least_bytes, self.moved_bytes + other.moved_bytes
        )


def count_cost(call: Callable[..., Any], *inputs: Any, compute: bool = False) -> Cost:
    """Count what `call(*inputs)` costs.

    Args:
        call: runs networks; their weights are recognised as `nn.Parameter`.
        inputs: tensors (any shape, on the networks' device) and others.
        compute: really run it, for code that looks at numbers; else only shapes go through.
    """
    traffic = _Traffic()
    with torch.inference_mode(), FlopCounterMode(display=False, custom_mapping=CPU_ATTENTION) as flops:
        if compute:
            with traffic:
                outputs = call(*inputs)
        else:
            with FakeTensorMode(allow_non_fake_inputs=True) as shapes:
                fake_inputs = tree_map_only(Tensor, shapes.from_tensor, inputs)
                with traffic:
                    outputs = call(*fake_inputs)
    ends = sum(_bytes_of(tensor) for tensor in _tensors((inputs, outputs)))
    return Cost(float(flops.get_total_flops()), float(ends + traffic.weight_bytes), float(traffic.moved_bytes))


class _Traffic(TorchDispatchMode):
    """Adds up the bytes of every operation but of those that only look at a tensor in another way."""

    def __init__(self) -> None:
        super().__init__()
        self.moved_bytes = 0
        self._weights: dict[int, Tensor] = {}

    @property
    def weight_bytes(self) -> int:
        """Of all weights seen, each once."""
        return sum(_bytes_of(weight) for weight in self._weights.values())

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        read, written = _tensors((args, kwargs)), _tensors(result)
        self._weights |= {id(tensor): tensor for tensor in read if isinstance(tensor, nn.Parameter)}
        places = {_place(tensor) for tensor in read}
        is_view = not func._schema.is_mutable and all(_place(tensor) in places for tensor in written)
        if not is_view and func._schema.name not in NOT_WRITTEN:
            self.moved_bytes += sum(_bytes_of(tensor) for tensor in (*read, *written))
        return result


def _tensors(values: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


def _place(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _bytes_of(tensor: Tensor) -> int:
    """What lies in memory: an expanded tensor counts once."""
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())
