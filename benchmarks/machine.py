"""What the figures were measured on: machine, versions, commit, date."""

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import torch

PACKAGES = ("torch", "diffusers", "transformers", "mediapipe", "opencv-python", "av", "numpy")
GIB = 2**30


def describe_machine(device: str) -> dict[str, Any]:
    """Say all of it, ready for JSON; `device` is "cpu" or "cuda"."""
    facts = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _commit(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / GIB, 1),
        "load_before": round(os.getloadavg()[0], 2),
        "gpu": None,
        "versions": {
            "python": platform.python_version(),
            "ffmpeg": _ffmpeg(),
            **{name: version(name) for name in PACKAGES},
        },
    }
    if device == "cuda":
        gpu = torch.cuda.get_device_properties(0)
        facts["gpu"] = f"{gpu.name}, {gpu.total_memory / GIB:.0f} GiB, CUDA {torch.version.cuda}"
    return facts


def _processor() -> str:
    match = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return match[1].strip() if match else platform.machine()


def _commit() -> str:
    """The short commit, with a + if files differ from it; "unknown" outside a repository."""
    commit = _said("git", "rev-parse", "--short", "HEAD")
    return (commit + "+" if _said("git", "status", "--porcelain", "-uno") else commit) or "unknown"


def _ffmpeg() -> str:
    match = re.match(r"ffmpeg version (\S+)", _said("ffmpeg", "-version"))
    return match[1] if match else "unknown"


def _said(*command: str) -> str:
    """What a program writes; nothing if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
