"""A benchmark definition: which clips are reconstructed, and which speak with whose sound. YAML or JSON, no media.

    name: hdtf                          shown in tables
    about: what it is, in a line
    data: ../data/HDTF                  default of --data: where the clips lie, relative to the working folder
    seconds: 10                         of every clip and sound at most
    published: HDTF                     adds the paper's own figures on this set to the paper's table
    reconstruction: [clips/a.mp4]       and
    cross_driven: [{video: clips/a.mp4, audio: clips/b.mp4}]
    quiet: [clips/a.mp4]                these hear a quiet room in which nobody speaks

or numbers in place of the lists: so many clips of `manifest` (a csv with `clip` and `identity`), in its order, chosen
by the values in `where`; drivers are then other people further down the list.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from latentsync_core.errors import BadOption
from latentsync_core.evaluation.clip_list import choose_pairs, list_clips
from latentsync_core.evaluation.pairs import Pair
from latentsync_core.evaluation.published import PUBLISHED

SHIPPED = Path(__file__).parent / "benchmarks"
KEYS = {"name", "about", "data", "seconds", "published", "manifest", "where", "reconstruction", "cross_driven", "quiet"}
QUIET_ROOM = SHIPPED / "quiet_room.flac"  # 4 s of noise at -50 dBFS
DEFAULT_SECONDS = 10.0


@dataclass(frozen=True)
class Benchmark:
    """A definition with its clips found."""

    name: str
    about: str
    seconds: float
    published: str | None
    pairs: tuple[Pair, ...]


def read_benchmark(definition: Path, data: Path | None = None) -> Benchmark:
    """Read a definition and look for its clips.

    Args:
        definition: a file, or the name of one that ships.
        data: the data set; None = where the definition says.

    Raises:
        BadOption: if it says something else, or a clip is missing.
    """
    values = _read(definition)
    unknown = values.keys() - KEYS
    if unknown:
        raise BadOption(f"{definition}: unknown key(s) {', '.join(sorted(unknown))}")
    if data is None and not values.get("data"):
        raise BadOption(f"{definition} does not say where the data lies: give --data DIR")
    root = data or Path(values["data"])
    published = values.get("published")
    if published is not None and published not in PUBLISHED:
        raise BadOption(f"{definition}: published is {published!r}, known are {', '.join(PUBLISHED)}")
    pairs = (*_reconstruction(values, root), *_cross_driven(values, root), *_quiet(values, root))
    if not pairs:
        raise BadOption(f"{definition} names no clips: neither reconstruction nor cross_driven nor quiet")
    absent = [path for pair in pairs for path in (pair.source, pair.audio) if not path.is_file()]
    if absent:
        raise BadOption(f"{len(set(absent))} clips are not there, the first is {absent[0]}: does --data fit?")
    return Benchmark(
        str(values.get("name", definition.stem)),
        str(values.get("about", "")),
        float(values.get("seconds", DEFAULT_SECONDS)),
        published,
        pairs,
    )


def _read(definition: Path) -> dict[str, Any]:
    path = definition if definition.is_file() else SHIPPED / f"{definition}.yaml"
    if not path.is_file():
        shipped = ", ".join(sorted(file.stem for file in SHIPPED.glob("*.yaml")))
        raise BadOption(f"{definition}: no such benchmark definition (those that ship: {shipped})")
    text = path.read_text(encoding="utf-8")
    try:
        values = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (json.JSONDecodeError, yaml.YAMLError) as error:
        raise BadOption(f"{path} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise BadOption(f"{path} holds no definition")
    return values


def _reconstruction(values: dict[str, Any], root: Path) -> list[Pair]:
    return [Pair("reconstruction", clip.stem, clip, clip, clip) for clip in _clips("reconstruction", values, root)]


def _quiet(values: dict[str, Any], root: Path) -> list[Pair]:
    return [
        Pair("cross_driven", f"{clip.stem}--{QUIET_ROOM.stem}", clip, QUIET_ROOM, None)
        for clip in _clips("quiet", values, root)
    ]


def _clips(key: str, values: dict[str, Any], root: Path) -> list[Path]:
    asked = values.get(key, [])
    if isinstance(asked, int):
        return [clip.path for clip in _from_manifest(values, root)[:asked]]
    return [root / clip for clip in asked]


def _cross_driven(values: dict[str, Any], root: Path) -> list[Pair]:
    asked = values.get("cross_driven", [])
    if isinstance(asked, int):
        chosen = choose_pairs(_from_manifest(values, root), asked)
    else:
        try:
            chosen = [(root / pair["video"], root / pair["audio"]) for pair in asked]
        except (KeyError, TypeError) as error:
            raise BadOption(f"cross_driven: each entry needs video and audio ({error!r})") from error
    return [Pair("cross_driven", f"{v.stem}--{a.stem}", v, a, _video_or_none(a)) for v, a in chosen]


def _from_manifest(values: dict[str, Any], root: Path) -> list[Any]:
    where = {str(column): str(value) for column, value in (values.get("where") or {}).items()}
    return list_clips(root, where, str(values.get("manifest", "manifest.csv")))


def _video_or_none(path: Path) -> Path | None:
    return None if path.suffix.lower() in (".wav", ".mp3", ".flac", ".m4a", ".aac", ".ogg") else path
