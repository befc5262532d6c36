"""The tables of README.md, written from results/*.json; the texts around them stay.

python -m benchmarks.tables
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

README = Path(__file__).with_name("README.md")
RESULTS = Path(__file__).with_name("results")
BEGIN, END = "<!-- begin of the tables: written by benchmarks.tables -->", "<!-- end of the tables -->"
MEGA, GIGA, MILLI = 1e6, 1e9, 1e-3

Row = list[str]


def write_tables(results: Path, readme: Path) -> None:
    """Put the tables of all results between the two marks of a text.

    Raises:
        ValueError: if the text has no marks.
    """
    text = readme.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise ValueError(f"{readme.name} has no marks {BEGIN!r} and {END!r}")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    files = sorted(results.glob("*.json"))
    sections = [render(json.loads(file.read_text(encoding="utf-8")), file.name) for file in files]
    readme.write_text("\n".join([before + BEGIN, *sections, END + after]), encoding="utf-8")


def render(figures: dict[str, Any], source: str) -> str:
    """Give the Markdown of one machine's figures (`benchmarks.bench` says what is in them)."""
    title = f"\n### {_title(figures['machine'])} (`results/{source}`)\n"
    parts = [title, _machine_text(figures), _ceilings_text(figures)]
    if figures["runs"]:
        parts += ["**From mp4 to mp4** (models loaded)\n", _runs_table(figures["runs"])]
    for measured in figures["stages"]:
        parts += [_stages_title(measured), _stages_table(measured, figures["ceilings"])]
    for measured in figures["variants"]:
        title = f"**What a choice costs: {measured['bundle']}**, {measured['device']}, from crop to decoded face\n"
        parts += [title, _variants_table(measured)]
    for failed in figures["failed"]:
        parts.append(f"Not measured: `{failed['part']}`: {failed['reason']}.\n")
    return "\n".join(parts)


def limits_of(stage: dict[str, Any], device: str, ceilings: dict[str, Any] | None) -> tuple[float | None, float | None]:
    """Give the least seconds that a frame of a stage can take: for its operations, and for its least bytes.

    None where nothing was counted. Stages without networks run on the host whatever the device.
    """
    if ceilings is None or stage["least_bytes_per_frame"] is None:
        return None, None
    ceiling = ceilings["cpu" if stage["dtype"] is None else device]
    flops = stage["flops_per_frame"]
    by_operations = None if flops is None else flops / ceiling["flops"][stage["dtype"]]
    return by_operations, stage["least_bytes_per_frame"] / ceiling["bytes"]


def markdown_table(head: Row, rows: Iterable[Row], left: int = 1) -> str:
    """Give a table whose first `left` columns are aligned left, all others right."""
    lines = [head, ["---" if index < left else "--:" for index in range(len(head))], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _title(machine: dict[str, Any]) -> str:
    host = f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']:g} GiB"
    return f"{machine['gpu']}; {host}" if machine["gpu"] else f"{host}, no GPU"


def _machine_text(figures: dict[str, Any]) -> str:
    machine = figures["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    return (
        f"{machine['date']}, commit {machine['commit']}, {figures['seconds'] / 60:.1f} minutes in all, "
        f"load before it began {machine['load_before']:g}. {versions}.\n"
    )


def _ceilings_text(figures: dict[str, Any]) -> str:
    names = {"cpu": "processor", "cuda": "GPU"}
    lines = []
    for device, ceiling in (figures["ceilings"] or {}).items():
        flops = ", ".join(f"{value / GIGA:,.0f} GFLOP/s in {dtype}" for dtype, value in ceiling["flops"].items())
        lines.append(f"Measured ceilings, {names[device]}: {flops}; {ceiling['bytes'] / GIGA:,.1f} GB/s of memory.\n")
    return "".join(lines)


def _runs_table(runs: list[dict[str, Any]]) -> str:
    head = ["model", "clip", "frames", "seconds", "frames/s", "peak host MiB", "peak GPU MiB", "busy seconds (share)"]
    return markdown_table(head, [_run_row(run) for run in runs], left=2)


def _run_row(run: dict[str, Any]) -> Row:
    model = f"{run['bundle']}, {run['dtype']}, {run['steps']} steps, guidance {run['guidance']:g}"
    clip = f"{run['seconds_of_video']:g} s, {run['width']} x {run['height']}, {run['fps']:g} fps"
    rate = f"{run['frames'] / run['seconds_total']:.2f}"
    if run["is_extrapolated"]:
        return [model, clip, str(run["frames"]), f"~{run['seconds_total']:.0f}", f"~{rate}", "", "", "extrapolated"]
    busy = run["seconds_per_stage"]
    whole = sum(busy.values())
    shares = ", ".join(f"{stage} {seconds:.1f} ({seconds / whole:.0%})" for stage, seconds in busy.items())
    memory = [f"{run['peak_host_memory_mib']:,.0f}", _or_nothing(run["peak_device_memory_mib"], "{:,.0f}")]
    return [model, clip, str(run["frames"]), f"{run['seconds_total']:.1f}", rate, *memory, shares]


def _stages_title(measured: dict[str, Any]) -> str:
    width, height = measured["frame"]
    return (
        f"**Each stage alone: {measured['bundle']}**, {measured['device']}, {measured['dtype']}, "
        f"face {measured['resolution']} px, frame {width} x {height}, {measured['steps']} steps, "
        f"guidance {measured['guidance']:g}; all for one frame of the result\n"
    )


def _stages_table(measured: dict[str, Any], ceilings: dict[str, Any] | None) -> str:
    head = ["stage", "measured", "ms", "share", "GFLOP", "MB least", "MB moved", "limit by operations, ms"]
    head += ["limit by bytes, ms", "ms / limit", "peak host MiB", "peak GPU MiB"]
    whole = sum(stage["seconds_per_frame"] for stage in measured["stages"])
    rows = [_stage_row(stage, whole, *limits_of(stage, measured["device"], ceilings)) for stage in measured["stages"]]
    is_sample = any(stage["is_sample"] for stage in measured["stages"])
    total = ["sum", "", f"{'~' if is_sample else ''}{whole / MILLI:,.1f}", "100 %", *[""] * (len(head) - 4)]
    return markdown_table(head, [*rows, total], left=2)


def _stage_row(stage: dict[str, Any], whole: float, by_operations: float | None, by_bytes: float | None) -> Row:
    about = "~" if stage["is_sample"] else ""
    seconds = stage["seconds_per_frame"]
    limits = [limit for limit in (by_operations, by_bytes) if limit is not None]
    return [
        stage["stage"],
        stage["measured"] + ("; the rest extrapolated" if about else ""),
        f"{about}{seconds / MILLI:,.1f}",
        f"{seconds / whole:.0%}",
        _or_nothing(stage["flops_per_frame"], "{:,.1f}", GIGA),
        _or_nothing(stage["least_bytes_per_frame"], "{:,.1f}", MEGA),
        _or_nothing(stage["moved_bytes_per_frame"], "{:,.0f}", MEGA),
        _or_nothing(by_operations, "{:,.2f}", MILLI),
        _or_nothing(by_bytes, "{:,.2f}", MILLI),
        f"{about}{seconds / max(limits):,.1f}" if limits else "",
        f"{stage['host_peak_mib']:,}",
        _or_nothing(stage["device_peak_mib"], "{:,}"),
    ]


def _variants_table(measured: dict[str, Any]) -> str:
    seconds = measured["seconds_per_frame"]
    first = next(iter(seconds.values()))
    rows = [[name, f"{value / MILLI:,.1f}", f"{value / first:.2f}"] for name, value in seconds.items()]
    return markdown_table(["variant", "ms per frame", "of the first"], rows)


def _or_nothing(value: float | None, form: str, unit: float = 1.0) -> str:
    return form.format(value if unit == 1.0 else value / unit) if value else ""


if __name__ == "__main__":
    write_tables(RESULTS, README)
