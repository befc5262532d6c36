"""A part of the benchmark is a process of its own, with memory of its own, that ends by writing JSON."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.clips import REPOSITORY


@dataclass(frozen=True)
class PartFailed(Exception):
    """A part ended without its figures: `reason` says why."""

    reason: str

    def __str__(self) -> str:
        return self.reason


class Deadline:
    """How much time is left for the whole; infinite without a number of seconds."""

    def __init__(self, seconds: float | None) -> None:
        self._end = float("inf") if seconds is None else time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds."""
        return self._end - time.monotonic()


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add the option that all parts have."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here, not to the terminal")


def say(figures: Any, out: Path | None) -> None:
    """Write figures as JSON to a file, or print them."""
    text = json.dumps(figures, indent=1)
    if out is None:
        print(text)
    else:
        out.write_text(text, encoding="utf-8")


def run_part(module: str, *arguments: str, deadline: Deadline) -> Any:
    """Run `python -m benchmarks.MODULE ARGUMENTS` and give what it wrote.

    Raises:
        PartFailed: if it fails, or has not ended when the time is over.
    """
    if deadline.left <= 0:
        raise PartFailed("no time was left")
    environment = {"OMP_WAIT_POLICY": "PASSIVE"} | os.environ  # as the command line sets it
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "figures.json"
        command = [sys.executable, "-m", f"benchmarks.{module}", *arguments, "--json", str(out)]
        try:
            subprocess.run(
                command,
                cwd=REPOSITORY,
                env=environment,
                check=True,
                timeout=None if deadline.left == float("inf") else deadline.left,
                stderr=subprocess.PIPE,
                text=True,
            )
        except subprocess.TimeoutExpired as error:
            raise PartFailed(f"not finished after {error.timeout:.0f} s") from error
        except subprocess.CalledProcessError as error:
            raise PartFailed(error.stderr.strip().splitlines()[-1] if error.stderr.strip() else str(error)) from error
        return json.loads(out.read_text(encoding="utf-8"))
