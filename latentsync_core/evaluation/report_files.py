"""What an evaluation leaves: results.json, report.md, report.html and plots."""

import base64
import json
from html import escape
from pathlib import Path
from typing import Any

from latentsync_core.evaluation.plots import plot_measures, plot_series
from latentsync_core.evaluation.results import RESULTS
from latentsync_core.evaluation.tables import Table, comparison_tables, mode_tables, notes, paper_table, to_markdown

MARKDOWN, HTML = "report.md", "report.html"
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:76rem;padding:0 1rem;color:#1c2226}"
    "table{border-collapse:collapse;margin:1rem 0;font-size:13px}td,th{border-bottom:1px solid #d8dee2;"
    "padding:.3rem .7rem;text-align:left;vertical-align:top}img{max-width:100%}li{margin:.2rem 0}"
)


def write_reports(results: dict[str, Any], out_dir: Path) -> None:
    """Write all files; `results` is what results.json holds."""
    _write(out_dir / RESULTS, json.dumps(results, indent=1) + "\n")
    plots = []
    for mode, rows in results["tables"].items() if results["kind"] == "table" else ():
        path = out_dir / f"{mode}.png"
        plot_measures(mode, rows, path)
        plots.append(path)
    if results["kind"] == "single" and results["pairs"][0]["series"]:
        path = out_dir / "over_time.png"
        plot_series(results["pairs"][0]["series"], results["pairs"][0]["name"], path)
        plots.append(path)
    tables = [*([paper_table(results)] if results["kind"] != "single" else []), *mode_tables(results)]
    tables += comparison_tables(results)
    markdown = [f"## {results['title']}\n", f"{results['about']}\n" if results["about"] else ""]
    markdown += [to_markdown(table) for table in tables] + ["".join(f"- {line}\n" for line in notes(results))]
    markdown.append(f"Made by `{results['command']}` on {results['date']}.\n")
    _write(out_dir / MARKDOWN, "\n".join(part for part in markdown if part))
    _write(out_dir / HTML, _html(results, tables, plots))


def _html(results: dict[str, Any], tables: list[Table], plots: list[Path]) -> str:
    pictures = (base64.b64encode(plot.read_bytes()).decode() for plot in plots)
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(results['title'])}</title>",
        f"<style>{STYLE}</style><h1>{escape(results['title'])}</h1><p>{escape(results['about'])}</p>",
        *map(_html_table, tables),
        *(f'<img alt="" src="data:image/png;base64,{picture}">' for picture in pictures),
        "<h2>Notes</h2><ul>",
        *(f"<li>{escape(line)}</li>" for line in notes(results)),
        f"</ul><p>Made by <code>{escape(results['command'])}</code> on {escape(results['date'])}.</p>",
    ]
    return "\n".join(parts) + "\n"


def _html_table(table: Table) -> str:
    title, head, rows = table
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    names = "".join(f"<th>{escape(name)}</th>" for name in head)
    return f"<h2>{escape(title)}</h2><table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table>"


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
