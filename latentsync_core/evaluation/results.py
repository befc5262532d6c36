"""Reading evaluations back: results.json of a folder, and folders of them. No torch here, for the page."""

import json
from pathlib import Path
from typing import Any

RESULTS = "results.json"
DEPTH = 3  # folders below the root


def read_results(folder: Path) -> dict[str, Any] | None:
    """Give results.json; None if it is missing, broken or of something else."""
    try:
        results = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return results if isinstance(results, dict) and {"tables", "pairs", "missing"} <= results.keys() else None


def find_evaluations(root: Path) -> dict[str, dict[str, Any]]:
    """Give all evaluations below a folder by their path in it, in the order of their names."""
    found = {}
    for path in sorted(file for depth in range(1, DEPTH + 1) for file in root.glob("*/" * depth + RESULTS)):
        results = read_results(path.parent)
        if results is not None:
            found[path.parent.relative_to(root).as_posix()] = results
    return found
