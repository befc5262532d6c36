"""A finished job's folder as a pair to be judged. The worker's names in it are data here, its code is not used."""

import json
from pathlib import Path

from latentsync_core.errors import BadOption
from latentsync_core.evaluation.pairs import Pair


def pair_of_job(folder: Path) -> tuple[Pair, Path]:
    """Give the pair of `jobs/<id>/` and its result.

    Raises:
        BadOption: if an input is not there.
    """
    inputs = []
    for kind in ("video", "audio"):
        facts = folder / f"input_{kind}.json"
        if not facts.is_file():
            raise BadOption(f"{folder} is no folder of a finished job: {facts.name} is missing")
        inputs.append(folder / json.loads(facts.read_text(encoding="utf-8"))["file"])
    return Pair("cross_driven", folder.name, inputs[0], inputs[1], None), folder / "result.mp4"
