"""Tables of an evaluation as rows of text, for Markdown, HTML, the terminal and the page. No torch here."""

from typing import Any

from latentsync_core.evaluation.measures import BY_KEY, MODE_WORDS, measures_of
from latentsync_core.evaluation.published import PAPER_COLUMNS, PUBLISHED

NOT_COMPUTED = "not computed"
NOTHING = "–"

#: A title, a head, and rows as long as the head.
Table = tuple[str, list[str], list[list[str]]]


def estimate_words(estimate: dict[str, Any] | None, digits: int) -> str:
    """Say a figure: "0.540 [0.412, 0.661] n=12"."""
    if estimate is None:
        return NOTHING
    words = f"{estimate['value']:.{digits}f}"
    if estimate["low"] is not None:
        words += f" [{estimate['low']:.{digits}f}, {estimate['high']:.{digits}f}]"
    return f"{words} n={estimate['count']}"


def paper_table(results: dict[str, Any]) -> Table:
    """The paper's table: its columns, a row a method; the paper's own rows where the data set is one of its."""
    found = {name for table in results["tables"].values() for name in table}
    methods = [name for table in results["tables"].values() for name in table if name not in results["baselines"]]
    systems = [*(name for name in results["baselines"] if name in found), *dict.fromkeys(methods)]
    rows = []
    for system in systems:
        cells = []
        for _, key, mode in PAPER_COLUMNS:
            estimate = results["tables"].get(mode, {}).get(system, {}).get(key)
            missing = NOT_COMPUTED if key in results["missing"] else NOTHING
            cells.append(estimate_words(estimate, BY_KEY[key].digits) if estimate else missing)
        rows.append([system, *cells])
    published = results.get("published")
    for method, values in PUBLISHED.get(published or "", {}).items():
        rows.append([f"{method} (as published; LMD in another unit)", *(f"{value:g}" for value in values)])
    return "The paper's columns", ["Method", *(title for title, _, _ in PAPER_COLUMNS)], rows


def mode_tables(results: dict[str, Any]) -> list[Table]:
    """All measures of every mode: a row a measure, a column a system."""
    tables = []
    for mode, by_system in results["tables"].items():
        rows = []
        for measure in measures_of(mode):
            estimates = [by_system[system].get(measure.key) for system in by_system]
            if any(estimates):
                cells = [estimate_words(estimate, measure.digits) for estimate in estimates]
                rows.append([measure.title + measure.arrow, *cells])
        tables.append((MODE_WORDS[mode], ["Measure", *by_system], rows))
    return tables


def comparison_tables(results: dict[str, Any]) -> list[Table]:
    """Systems pair by pair: the first less the second."""
    tables = []
    for comparison in results["comparisons"]:
        rows = []
        for key, found in comparison["measures"].items():
            measure = BY_KEY[key]
            tells = found["low"] is not None and (found["low"] > 0 or found["high"] < 0)
            rows.append(
                [
                    measure.title + measure.arrow,
                    estimate_words(found, measure.digits),
                    f"{100 * found['first_higher']:.0f} %",
                    "yes" if tells else "no",
                ]
            )
        title = f"{comparison['first']} less {comparison['second']}: {MODE_WORDS[comparison['mode']]}"
        head = ["Measure", "Mean difference", "Pairs where the first is higher", "Interval leaves out 0"]
        tables.append((title, head, rows))
    return tables


def notes(results: dict[str, Any]) -> list[str]:
    """What the figures mean, and what was not computed."""
    lines = [
        f"Every clip is looked at for {results['seconds']:g} s at most, at 25 fps; sync judges search "
        f"±{results['vshift']} frames (vshift).",
        "In brackets the 95 % interval over pairs (bootstrap of the mean; jackknife for distances of sets), n = pairs.",
        "Success counts pairs without a result; all other means leave them out.",
    ]
    if results.get("stable_syncnet"):
        lines.append(f"StableSyncNet here is {results['stable_syncnet']}: its figures compare with its own only.")
    missing: dict[str, list[str]] = {}
    for key, why in results["missing"].items():
        missing.setdefault(why, []).append(BY_KEY[key].title)
    return lines + [f"{', '.join(titles)}: {why}" for why, titles in missing.items()]


def to_markdown(table: Table) -> str:
    """One table with its title as Markdown."""
    title, head, rows = table
    lines = [f"### {title}", "", _line(head), _line(["---"] * len(head)), *map(_line, rows)]
    return "\n".join(lines) + "\n"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
