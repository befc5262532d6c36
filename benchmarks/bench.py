"""The whole benchmark of one machine, in a given time: `make bench`, `make bench-gpu`.

    python -m benchmarks.bench [--device cpu|cuda] [--minutes 8.5] [--lengths 5 20 60 600] [--out FILE]

Each part is a process of its own. The most telling parts come first; a part that does not end in time is stopped and
named as such. Whole runs get longer as long as the next one fits into the time that is left, judged by the one before;
what does not fit is extrapolated from the measured lengths and marked. Figures go to benchmarks/results/, tables into
README.md.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.clips import REPOSITORY
from benchmarks.machine import describe_machine
from benchmarks.parts import Deadline, PartFailed, run_part
from benchmarks.tables import README, RESULTS, write_tables
from latentsync_core.bundle import choose_device
from latentsync_core.errors import BundleNotFound

BRIEF = ["--brief", "--dtype", "bfloat16"]  # of the published network a CPU does one pass only
#: Measured on each device: bundles stage by stage (with further arguments), bundles whose variants are compared,
#: bundles from mp4 to mp4.
STAGES: dict[str, list[list[str]]] = {
    "cpu": [["mini"], ["official-256", *BRIEF], ["official-512", *BRIEF]],
    "cuda": [["mini"], ["official-256"], ["official-512", "--windows", "1"]],
}
VARIANTS = {"cpu": [["mini", "--repeats", "1"]], "cuda": [["mini"], ["official-256"]]}
RUNS = {"cpu": ["mini"], "cuda": ["mini", "official-256", "official-512"]}
LARGE_PICTURE = "1280x720"
MARGIN = 1.15  # a run may take so much longer than the one before it promised


class Benchmark:
    """Runs the parts and gathers their figures.

    Args:
        device: "cpu" or "cuda".
        deadline: when all must be over.
    """

    def __init__(self, device: str, deadline: Deadline) -> None:
        self._device, self._deadline = device, deadline
        self.figures: dict[str, Any] = {"stages": [], "variants": [], "runs": [], "failed": []}

    def run(self, lengths: list[float]) -> None:
        """Measure everything; `lengths` in seconds of video, rising."""
        self.figures["ceilings"] = self._part("ceilings")
        for bundle in RUNS[self._device]:
            self._run_length(bundle, lengths[0])
        self._keep("stages", STAGES[self._device][:1])
        self._keep("variants", VARIANTS[self._device])
        self._run_length(RUNS[self._device][0], lengths[0], "--size", LARGE_PICTURE)
        self._keep("stages", STAGES[self._device][1:])
        for length in lengths[1:]:
            for bundle in RUNS[self._device]:
                if self._predict(bundle, length) < self._deadline.left:
                    self._run_length(bundle, length)
        for bundle in RUNS[self._device]:
            self.figures["runs"] += extrapolate(self._runs_of(bundle), lengths)

    def _keep(self, part: str, choices: list[list[str]]) -> None:
        for bundle, *arguments in choices:
            figures = self._part(part, "--bundle", bundle, *arguments)
            if figures is not None:
                self.figures[part].append(figures)

    def _run_length(self, bundle: str, length: float, *arguments: str) -> None:
        figures = self._part("whole_run", "--bundle", bundle, "--seconds", str(length), *arguments)
        if figures is not None:
            self.figures["runs"].append(figures)

    def _part(self, name: str, *arguments: str) -> Any:
        say_progress(f"{name} {' '.join(arguments)}")
        try:
            return run_part(name, "--device", self._device, *arguments, deadline=self._deadline)
        except PartFailed as error:
            say_progress(f"  {error}")
            self.figures["failed"].append({"part": " ".join((name, *arguments)), "reason": str(error)})
            return None

    def _runs_of(self, bundle: str) -> list[dict[str, Any]]:
        """Of the sample in its own size."""
        runs = [run for run in self.figures["runs"] if run["bundle"] == bundle]
        return [run for run in runs if run["width"] == runs[0]["width"]]

    def _predict(self, bundle: str, length: float) -> float:
        """Seconds that a run will take, with its loading; infinite if nothing was measured yet."""
        runs = self._runs_of(bundle)
        if not runs:
            return float("inf")
        last = runs[-1]
        working = last["seconds_total"] * length / last["seconds_of_video"]
        return MARGIN * float(working + last["seconds_loading"] + 10)  # the process's start, the clip's making


def extrapolate(runs: list[dict[str, Any]], lengths: list[float]) -> list[dict[str, Any]]:
    """Continue measured runs of one bundle to the lengths that were not measured.

    The line through the two longest; with one run only, in proportion. Memory and stages are not extrapolated.
    """
    if not runs:
        return []
    measured = sorted(runs, key=lambda run: float(run["seconds_of_video"]))
    last = measured[-1]
    slope, start = last["seconds_total"] / last["seconds_of_video"], 0.0
    if len(measured) > 1:
        before = measured[-2]
        slope = (last["seconds_total"] - before["seconds_total"]) / (
            last["seconds_of_video"] - before["seconds_of_video"]
        )
        start = last["seconds_total"] - slope * last["seconds_of_video"]
    missing = [length for length in lengths if length > last["seconds_of_video"]]
    kept = ("bundle", "device", "dtype", "width", "height", "fps", "steps", "guidance")
    return [
        {key: last[key] for key in kept}
        | {
            "seconds_of_video": length,
            "is_extrapolated": True,
            "frames": round(length * last["fps"]),
            "seconds_total": round(start + slope * length, 1),
        }
        for length in missing
    ]


def say_progress(line: str) -> None:
    """Tell the person who waits."""
    print(f"{time.strftime('%H:%M:%S')}  {line}", flush=True)


def main() -> int:
    """Measure, write the results, write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--minutes", type=float, default=8.5, help="for all of it, 0 = no limit (default: %(default)s)")
    parser.add_argument("--lengths", type=float, nargs="+", default=[5.0, 20.0, 60.0, 600.0], help="seconds")
    parser.add_argument("--out", type=Path, help="default: benchmarks/results/DEVICE.json")
    chosen = parser.parse_args()
    try:
        choose_device(chosen.device)
    except BundleNotFound as error:
        print(error, file=sys.stderr)
        return 1
    out = chosen.out or RESULTS / f"{'gpu' if chosen.device == 'cuda' else 'cpu'}.json"
    machine, start = describe_machine(chosen.device), time.monotonic()
    benchmark = Benchmark(chosen.device, Deadline(chosen.minutes * 60 or None))
    benchmark.run(sorted(chosen.lengths))
    figures = {"machine": machine, "seconds": round(time.monotonic() - start)} | benchmark.figures
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    write_tables(RESULTS, README)
    say_progress(f"{out.relative_to(REPOSITORY) if out.is_relative_to(REPOSITORY) else out}, tables in {README.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
