"""The summary of a run as one HTML file: counts of the steps, audit, and plots inside it."""

import base64
import io
from collections.abc import Sequence
from html import escape

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from latentsync_core.data_preparation.audit import Audit, audit_lines
from latentsync_core.data_preparation.tally import STEPS, ClipRow, StepTally

EXAMPLES_SHOWN = 50
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; margin: 1rem 0 }
td, th { padding: .25rem .8rem; text-align: left; vertical-align: top }
tr { border-bottom: 1px solid #ddd } img { max-width: 100%; height: auto }
"""


def write_summary(rows: Sequence[ClipRow], tallies: Sequence[StepTally], found: Audit) -> str:
    """Give the page; file names and reasons in it are escaped."""
    dropped = [row for row in rows if row.state == "dropped"]
    parts = [
        "<h1>Prepared data</h1>",
        _table(["", ""], [[name, text] for name, text in audit_lines(found)]),
        "<h2>Steps</h2>",
        _table(
            ["step", "counts", "in", "out", "dropped, and why"],
            [
                [tally.step, STEPS[tally.step], str(tally.came_in), str(tally.went_out), reasons(tally)]
                for tally in tallies
            ],
        ),
        _image(_plots(rows, tallies)),
    ]
    if dropped:
        parts.append(f"<h2>Dropped ({len(dropped)}, of which at most {EXAMPLES_SHOWN} are shown)</h2>")
        shown = [[row.clip, row.dropped_at, row.reason, row.detail] for row in dropped[:EXAMPLES_SHOWN]]
        parts.append(_table(["clip", "step", "reason", "detail"], shown))
    body = "\n".join(parts)
    head = f'<meta charset="utf-8"><title>Prepared data</title><style>{STYLE}</style>'
    return f"<!doctype html><html lang='en'><head>{head}</head><body>\n{body}\n</body></html>\n"


def reasons(tally: StepTally) -> str:
    """Give what a step dropped as text, the most frequent reason first."""
    ordered = sorted(tally.dropped.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} {reason}" for reason, count in ordered)


def _table(head: list[str], rows: list[list[str]]) -> str:
    header = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    lines = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    return f"<table><tr>{header}</tr>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _plots(rows: Sequence[ClipRow], tallies: Sequence[StepTally]) -> Figure:
    figure = Figure(figsize=(12, 10), layout="constrained")
    axes = figure.subplots(3, 2)
    kept = [row for row in rows if row.state == "kept"]
    sync = next((row.sync_measure for row in rows if row.sync_measure), "not measured")
    quality = next((row.quality_measure for row in rows if row.quality_measure), "not measured")
    _histogram(axes[0, 0], [row.seconds for row in kept], "length of kept clips", "seconds")
    _histogram(axes[0, 1], [row.face_px for row in rows], "face height in the source, all clips", "pixels")
    _histogram(axes[1, 0], [row.sync_confidence for row in rows], "sync confidence, all clips", sync)
    offsets = [row.sync_offset for row in rows if row.sync_offset is not None]
    span = range(min([*offsets, -6]), max([*offsets, 6]) + 1)
    axes[1, 1].bar(list(span), [offsets.count(offset) for offset in span], color="tab:blue")
    axes[1, 1].set(title="offset before any shift, all clips", xlabel="frames, positive: sound later", ylabel="clips")
    _histogram(axes[2, 0], [row.quality for row in rows], "visual quality, all clips", quality)
    names = [tally.step for tally in tallies]
    axes[2, 1].barh(names, [tally.came_in for tally in tallies], color="lightgrey", label="in")
    axes[2, 1].barh(names, [tally.went_out for tally in tallies], height=0.4, color="tab:blue", label="out")
    axes[2, 1].set(title="counts per step")
    axes[2, 1].xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[1, 1].yaxis.set_major_locator(MaxNLocator(integer=True))
    axes[2, 1].invert_yaxis()
    axes[2, 1].legend()
    return figure


def _histogram(axes: Axes, values: Sequence[float | None], title: str, unit: str) -> None:
    known = [value for value in values if value is not None]
    axes.hist(known, bins=min(30, max(5, len(known) // 4)), color="tab:blue")
    axes.set(title=title, xlabel=unit, ylabel="clips")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))


def _image(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90)
    encoded = base64.b64encode(buffer.getvalue()).decode("ascii")
    return (
        f'<img alt="lengths, face sizes, confidences, offsets, quality, counts" src="data:image/png;base64,{encoded}">'
    )
