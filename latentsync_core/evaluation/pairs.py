"""What is judged: pairs of a video and a sound, and the systems whose results of them are compared. No torch here."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from latentsync_core.errors import BadOption
from latentsync_core.evaluation.measures import MODES, Mode

RESULT_ENDINGS = (".mp4", ".mov", ".mkv", ".webm", ".avi")
PAIRS_FILE = "pairs.csv"


@dataclass(frozen=True)
class Pair:
    """One task for a system: this person, that sound.

    Attributes:
        mode: reconstruction (the source's own sound) or cross-driven.
        name: of the result without ending: VIDEO, or VIDEO--DRIVER.
        source: the video whose lips are changed.
        audio: a file with the sound.
        driver: the video of whoever is heard, for the real mouth; None if there is none.
    """

    mode: Mode
    name: str
    source: Path
    audio: Path
    driver: Path | None


@dataclass(frozen=True)
class System:
    """Whose results: a method's folder of videos, or one of the rows that every table has.

    Attributes:
        name: of the row.
        kind: "results" has a folder; the others are made from the sources.
        folder: with VIDEO.mp4 and VIDEO--DRIVER.mp4; for "single" the one file.
    """

    name: str
    kind: Literal["results", "single", "ground_truth", "paste_reference", "source_unchanged"]
    folder: Path | None = None

    def result_of(self, pair: Pair) -> Path | None:
        """Where its result of a pair lies; None if there is none."""
        if self.kind == "ground_truth":
            return pair.source if pair.mode == "reconstruction" else pair.driver
        if self.kind == "source_unchanged":
            return pair.source if pair.mode == "cross_driven" else None
        if self.kind == "single":
            return self.folder
        assert self.folder is not None
        candidates = (self.folder / f"{pair.name}{ending}" for ending in RESULT_ENDINGS)
        return next((path for path in candidates if path.is_file()), None)

    def takes_part(self, pair: Pair) -> bool:
        """Whether a result of this pair can be asked of it; that of a method without one counts as a failure."""
        if self.kind == "ground_truth":
            return pair.mode == "reconstruction" or pair.driver is not None
        return self.kind != "source_unchanged" or pair.mode == "cross_driven"

    def compared_with(self, pair: Pair) -> Path:
        """The real video that its pictures are compared with."""
        is_driver = self.kind == "ground_truth" and pair.mode == "cross_driven" and pair.driver is not None
        return pair.driver if is_driver and pair.driver is not None else pair.source


GROUND_TRUTH = System("ground truth", "ground_truth")
SOURCE_UNCHANGED = System("source unchanged", "source_unchanged")
PASTE_REFERENCE = "paste the reference"


def read_pairs(folder: Path) -> tuple[list[Pair], System]:
    """Read `pairs.csv` of a folder: columns result, source, audio, and optionally driver and mode.

    Paths are relative to the folder. Without `mode` a pair is cross-driven if its audio is not its source.

    Raises:
        BadOption: for a missing column or an unknown mode.
    """
    path = folder / PAIRS_FILE
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    pairs = []
    for number, row in enumerate(rows, start=2):
        if not all(row.get(column) for column in ("result", "source", "audio")):
            raise BadOption(f"{path}, line {number}: result, source and audio are needed")
        source, audio = folder / row["source"], folder / row["audio"]
        mode = row.get("mode") or ("reconstruction" if source == audio else "cross_driven")
        if mode not in MODES:
            raise BadOption(f"{path}, line {number}: mode is {mode!r}, known are {', '.join(MODES)}")
        driver = folder / row["driver"] if row.get("driver") else (source if mode == "reconstruction" else None)
        pairs.append(Pair(mode, str(Path(row["result"]).with_suffix("")), source, audio, driver))
    if not pairs:
        raise BadOption(f"{path} lists nothing")
    return pairs, System(folder.resolve().name, "results", folder)
