"""Several finished studies as one page: `study-report`.

For each study its table, its chart, made small enough for a repository, what the paper found, and, from `verdict.md` in
the study's folder, whether that repeated here and why: nobody but a reader of the curves can say so.
"""

from pathlib import Path

import cv2

from latentsync_core.errors import BadOption
from latentsync_core.training.ablate import CHART, TABLE
from latentsync_core.training.runs import find_runs

VERDICT = "verdict.md"
NO_VERDICT = f"Not judged yet: look at the curves, write {VERDICT} into the study's folder, and make this page again."
CHART_WIDTH = 1000  # pixels at most
SAID_OF_MACHINE = ("processor", "memory", "gpu", "torch")


def write_report(studies: list[Path], page: Path) -> None:
    """Write the page, and the charts into a folder beside it that is named as the page is.

    Args:
        studies: OUT_DIRs of `ablate`, in the page's order.
        page: a Markdown file.

    Raises:
        BadOption: if a folder holds no study, or two have one name.
    """
    names = [study.resolve().name for study in studies]
    if len(set(names)) < len(names):
        raise BadOption(f"the folders of the studies must have different names, got {', '.join(names)}")
    for study in studies:
        if not (study / TABLE).is_file():
            raise BadOption(f"{study}: no {TABLE}; it is the OUT_DIR of `ablate` that is wanted")
    charts = page.with_suffix("")
    parts = ["# The studies of the paper, repeated\n", _machines(studies)]
    for study, name in zip(studies, names, strict=True):
        text = (study / TABLE).read_text(encoding="utf-8")
        chart = charts / f"{name}.png"
        if (study / CHART).is_file():
            charts.mkdir(parents=True, exist_ok=True)
            shrink_chart(study / CHART, chart)
        title, _, rest = text.partition("\n")
        verdict = study / VERDICT
        judged = verdict.read_text(encoding="utf-8").strip() if verdict.is_file() else NO_VERDICT
        body = rest.replace(f"]({CHART})", f"]({charts.name}/{chart.name})").strip()
        parts.append(f"\n#{title}\n\n{body}\n\n**Repeated here?** {judged}\n")
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("".join(parts), encoding="utf-8")


def shrink_chart(chart: Path, out: Path) -> None:
    """Write a chart not too wide: some ten kilobytes.

    Raises:
        BadOption: if it is no picture.
    """
    picture = cv2.imread(str(chart))
    if picture is None:
        raise BadOption(f"{chart} is no picture")
    height, width = picture.shape[:2]
    if width > CHART_WIDTH:
        size = (CHART_WIDTH, round(height * CHART_WIDTH / width))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(out), picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])


def _machines(studies: list[Path]) -> str:
    """What the runs were trained on, each kind of machine once."""
    machines = [run.facts.get("machine") for study in studies for run in find_runs(study)]
    texts = [
        ", ".join(f"{name} {machine[name]}" for name in SAID_OF_MACHINE if name in machine)
        for machine in machines
        if isinstance(machine, dict)
    ]
    return "".join(f"\nMachine: {text}.\n" for text in dict.fromkeys(texts))
