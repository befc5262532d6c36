"""What the machine can do at best: operations a second in a matrix product, bytes a second in a copy. Measured here.

    python -m benchmarks.ceilings [--device cpu] [--json FILE]

A convolution may come out a little above the matrix product (fewer operations by another algorithm), a small tensor
above the copy (it stays in a cache): these are what large, plain work reaches, not the data sheet's figures.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.parts import add_output, say

DTYPES = ("float32", "bfloat16", "float16")
REPEATS = 5
MATRIX_SIDE = {"cpu": 2048, "cuda": 8192}
COPY_BYTES = {"cpu": 2**28, "cuda": 2**31}


def matmul_flops(device: torch.device, dtype: torch.dtype, side: int) -> float:
    """Operations a second in the product of two square matrices, the best of some."""
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    return 2 * side**3 / _best_seconds(lambda: a @ b, device)


def copy_bandwidth(device: torch.device, num_bytes: int) -> float:
    """Bytes a second, read and written ones together, in a copy inside the device's memory, the best of some."""
    source = torch.zeros(num_bytes, dtype=torch.uint8, device=device)
    target = torch.ones_like(source)
    return 2 * num_bytes / _best_seconds(lambda: target.copy_(source), device)


def measure_ceilings(kind: str) -> dict[str, Any]:
    """Measure the host, and the GPU if `kind` is "cuda": {device: {flops: {dtype: ...}, bytes: ...}}, per second.

    float16 is left out on the host: nothing runs in it there.
    """
    ceilings = {}
    for name in dict.fromkeys(("cpu", kind)):
        device = torch.device(name)
        flops = {
            dtype: matmul_flops(device, getattr(torch, dtype), MATRIX_SIDE[name])
            for dtype in DTYPES
            if name != "cpu" or dtype != "float16"
        }
        ceilings[name] = {"flops": flops, "bytes": copy_bandwidth(device, COPY_BYTES[name])}
    return ceilings


def _best_seconds(work: Callable[[], Any], device: torch.device) -> float:
    seconds = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def main() -> None:
    """Measure and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    add_output(parser)
    chosen = parser.parse_args()
    say(measure_ceilings(chosen.device), chosen.json)


if __name__ == "__main__":
    main()
