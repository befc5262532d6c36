"""Seconds and peak memory of a block of code; on request its trace, for chrome://tracing or ui.perfetto.dev."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from latentsync_core.stage_clock import MIB, MemoryWatch

_PROCESS = Path("/proc/self")


@dataclass
class Reading:
    """What a block cost; filled when it ends.

    Attributes:
        seconds: wall clock, until the device has finished.
        host_mib: largest resident memory of the process and its children, MiB: all that is loaded counts.
        device_mib: largest memory of tensors on the GPU, MiB; 0 on a CPU.
    """

    seconds: float = 0.0
    host_mib: float = 0.0
    device_mib: float = 0.0


@contextmanager
def measured(device: torch.device, trace: Path | None = None) -> Iterator[Reading]:
    """Measure the `with` block.

    Args:
        device: which the block uses.
        trace: file for a Chrome trace; tracing makes the block slower.
    """
    reading, on_gpu = Reading(), device.type == "cuda"
    activities = [torch.profiler.ProfilerActivity.CPU]
    if on_gpu:
        activities.append(torch.profiler.ProfilerActivity.CUDA)
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
    (_PROCESS / "clear_refs").write_text("5")  # sets the process's own peak back (man 5 proc)
    profiler = torch.profiler.profile(activities=activities, acc_events=True) if trace is not None else nullcontext()
    with MemoryWatch() as memory, profiler as profile:
        start = time.perf_counter()
        yield reading
        if on_gpu:
            torch.cuda.synchronize(device)
        reading.seconds = time.perf_counter() - start
    reading.host_mib = max(memory.peak_mib, _own_peak_mib())  # children are seen five times a second only
    if on_gpu:
        reading.device_mib = torch.cuda.max_memory_allocated(device) / MIB
    if profile is not None:
        profile.export_chrome_trace(str(trace))


def _own_peak_mib() -> float:
    lines = (_PROCESS / "status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
