"""What a run's folder says of itself: `recipe.yaml`, the settings, and `run.json`, the trainer, machine and start."""

import json
import os
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
import yaml

from latentsync_core.training.runs import FACTS, RECIPE, read_facts

CPU_INFO = Path("/proc/cpuinfo")


def describe_run(recipe: Any, trainer: str) -> None:
    """Write both files into the recipe's `run_dir`; a resumed run keeps the time of its first start.

    Args:
        recipe: a dataclass, with all that `--set` changed; has `run_dir`.
        trainer: the command, such as "train-syncnet".
    """
    values = plain_values(recipe)
    folder = Path(values["run_dir"])
    folder.mkdir(parents=True, exist_ok=True)
    started = read_facts(folder).get("started") or datetime.now(UTC).isoformat(timespec="seconds")
    facts = {"trainer": trainer, "started": started, "machine": describe_machine()}
    (folder / RECIPE).write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    (folder / FACTS).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def plain_values(recipe: Any) -> dict[str, Any]:
    """A recipe as YAML holds it: paths as text, tuples as lists."""
    values = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(recipe).items()}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def describe_machine() -> dict[str, str]:
    """Host, processor, graphics cards and versions, in words."""
    cards = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "host": platform.node(),
        "processor": f"{_processor_name()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB",
        "gpu": ", ".join(cards) or "none",
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
    }


def _processor_name() -> str:
    if CPU_INFO.is_file():
        for line in CPU_INFO.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()
