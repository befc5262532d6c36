"""All systems on all pairs: in processes, with progress, and from where an interrupted run stopped.

Every (system, pair) leaves a JSON (scores and series) and an npz (features) under OUT/cache, named by a fingerprint of
the files, the weights and the settings: what did not change is not measured again.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from latentsync_core.data_preparation.parallel import begin_process
from latentsync_core.errors import FaceNotFound, UnreadableMedia
from latentsync_core.evaluation.baselines import write_pasted_reference
from latentsync_core.evaluation.fingerprint import fingerprint
from latentsync_core.evaluation.measure import Heard, Measured, features_of, measure_result
from latentsync_core.evaluation.measures import Mode
from latentsync_core.evaluation.metrics.sync_confidence import VSHIFT
from latentsync_core.evaluation.networks import Networks, load_networks
from latentsync_core.evaluation.pairs import Pair, System
from latentsync_core.evaluation.seen_clip import SeenClip, hear, see_clip, to_int16
from latentsync_core.evaluation.weights import EvaluationWeights
from latentsync_core.face.mediapipe_backend import MediapipeBackend
from latentsync_core.media.probe import probe_media

VERSION = 3  # of the measures: raised when one is defined anew


@dataclass(frozen=True)
class RunSettings:
    """What figures depend on besides the files.

    Attributes:
        seconds: of every clip at most.
        vshift: frames to either side that sync judges search.
        weights: where networks lie.
    """

    seconds: float
    vshift: int = VSHIFT
    weights: EvaluationWeights = field(default_factory=EvaluationWeights)


@dataclass(frozen=True, eq=False)
class PairScore:
    """One system's result of one pair.

    Attributes:
        problem: why there are no scores but success; "" if there are.
        features: of the result and, as "real", of what it is compared with, by key of the measure.
    """

    system: str
    mode: Mode
    name: str
    result: str
    source: str
    audio: str
    frames: int
    problem: str
    scores: dict[str, float]
    series: dict[str, list[float | None]]
    features: dict[str, dict[str, NDArray[np.float32]]]

    def to_dict(self) -> dict[str, Any]:
        """All but the features, JSON-ready."""
        values = asdict(self)
        del values["features"]
        return values


def run_pairs(
    pairs: list[Pair],
    systems: list[System],
    out_dir: Path,
    settings: RunSettings,
    workers: int,
    on_done: Callable[[int, int], None] = lambda done, total: None,
) -> list[PairScore]:
    """Measure everything, in the order of systems, then pairs.

    Args:
        pairs: with different names within a mode.
        systems: with different names.
        out_dir: holds the cache and the pasted references.
        settings: what figures depend on.
        workers: processes; 1 = this one.
        on_done: called with finished and all pairs.
    """
    (out_dir / "cache").mkdir(parents=True, exist_ok=True)
    found: dict[tuple[str, str, str], PairScore] = {}
    for done, scores in enumerate(_each_pair(pairs, systems, out_dir, settings, workers), start=1):
        found |= {(score.system, score.mode, score.name): score for score in scores}
        on_done(done, len(pairs))
    wanted = [(system.name, pair.mode, pair.name) for system in systems for pair in pairs if system.takes_part(pair)]
    return [found[key] for key in wanted]


def _each_pair(
    pairs: list[Pair], systems: list[System], out_dir: Path, settings: RunSettings, workers: int
) -> Iterator[list[PairScore]]:
    if workers == 1:
        for pair in pairs:
            yield measure_pair(pair, systems, out_dir, settings)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_begin_process) as pool:
        futures = [pool.submit(measure_pair, pair, systems, out_dir, settings) for pair in pairs]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _begin_process() -> None:
    """Set up a process of the pool: one thread for each library, and no life after its parent's."""
    begin_process()
    torch.set_num_threads(1)


@lru_cache(maxsize=1)
def _networks(weights: EvaluationWeights) -> Networks:
    return load_networks(weights)


def measure_pair(pair: Pair, systems: list[System], out_dir: Path, settings: RunSettings) -> list[PairScore]:
    """Measure every system's result of one pair; the source is looked at once, and only if something is to be done."""
    looks = _Looks(pair, settings)
    scores = []
    for system in systems:
        if not system.takes_part(pair):
            continue
        if system.kind == "paste_reference":
            with suppress(FaceNotFound):  # then there is nothing to paste, and every row says why
                _paste_reference(system, pair, looks, settings)
        result = system.result_of(pair)
        files = [fingerprint(path) for path in (result, pair.source, pair.audio, pair.driver)]
        path = out_dir / "cache" / f"{_key([system.name, system.kind, pair.mode, pair.name, *files], settings)}.json"
        score = _read(path)
        if score is None:
            score = _score(system, pair, result, looks, settings)
            _write(path, score)
        scores.append(score)
    looks.close()
    return scores


class _Looks:
    """The real videos of one pair, each looked at when first asked for."""

    def __init__(self, pair: Pair, settings: RunSettings) -> None:
        self._pair, self._settings = pair, settings
        self._detector: MediapipeBackend | None = None
        self._seen: dict[Path, SeenClip] = {}
        self._features: dict[Path, dict[str, NDArray[np.float32]]] = {}
        self._heard: Heard | None = None

    @property
    def detector(self) -> MediapipeBackend:
        if self._detector is None:
            self._detector = MediapipeBackend()
        return self._detector

    def real(self, path: Path) -> SeenClip:
        if path not in self._seen:
            self._seen[path] = see_clip(path, self.detector, self._settings.seconds)
        return self._seen[path]

    def features_of_real(self, path: Path, networks: Networks) -> dict[str, NDArray[np.float32]]:
        if path not in self._features:
            self._features[path] = features_of(self.real(path), networks)
        return self._features[path]

    @property
    def heard(self) -> Heard:
        if self._heard is None:
            driver = self._pair.driver
            openings = self.real(driver).openings if driver is not None else None
            self._heard = Heard(to_int16(hear(self._pair.audio, self._settings.seconds)), openings)
        return self._heard

    def close(self) -> None:
        if self._detector is not None:
            self._detector.close()


def _key(facts: list[str], settings: RunSettings) -> str:
    settled = [VERSION, settings.seconds, settings.vshift, settings.weights.fingerprint()]
    return hashlib.sha256(json.dumps([*facts, *settled]).encode()).hexdigest()[:20]


def _score(system: System, pair: Pair, result: Path | None, looks: _Looks, settings: RunSettings) -> PairScore:
    networks = _networks(settings.weights)
    problem, features = "", {}
    measured = Measured(0, {"success": 0.0}, {})
    compared = system.compared_with(pair)
    if result is None:
        problem = "there is no result"
    else:
        try:
            real, heard = looks.real(compared), looks.heard
            fits = real.fits if _size(result) == _size(compared) else None
            clip = real if result == compared else see_clip(result, looks.detector, settings.seconds, fits)
        except (FaceNotFound, UnreadableMedia) as error:
            problem = str(error)
        else:
            measured = measure_result(clip, real, heard, pair.mode, networks, settings.vshift)
            features = {"result": measured.features, "real": looks.features_of_real(compared, networks)}
    scores = dict(measured.scores)
    if system.kind == "ground_truth":
        scores = {key: value for key, value in scores.items() if "leakage" not in key}  # its own mouth is the right one
    return PairScore(
        system=system.name,
        mode=pair.mode,
        name=pair.name,
        result=str(result.absolute()) if result else "",
        source=str(pair.source.absolute()),
        audio=str(pair.audio.absolute()),
        frames=measured.frames,
        problem=problem,
        scores=scores,
        series=measured.series,
        features=features,
    )


def _paste_reference(system: System, pair: Pair, looks: _Looks, settings: RunSettings) -> None:
    assert system.folder is not None
    out = system.folder / f"{pair.name}.mp4"
    if not out.is_file():
        write_pasted_reference(looks.real(pair.source), pair.audio, out, settings.seconds)


def _size(path: Path) -> tuple[int, int]:
    video = probe_media(path).require_video()
    return video.width, video.height


def _read(path: Path) -> PairScore | None:
    features_path = path.with_suffix(".npz")
    if not path.is_file() or not features_path.is_file():
        return None
    values = json.loads(path.read_text(encoding="utf-8"))
    features: dict[str, dict[str, NDArray[np.float32]]] = {}
    with np.load(features_path) as arrays:
        for name in arrays.files:
            side, _, key = name.partition(".")
            features.setdefault(side, {})[key] = arrays[name]
    return PairScore(**values, features=features)


def _write(path: Path, score: PairScore) -> None:
    arrays = {f"{side}.{key}": array for side, named in score.features.items() for key, array in named.items()}
    partial = path.with_name(f"{path.stem}.part.npz")
    np.savez(partial, **arrays)
    partial.replace(path.with_suffix(".npz"))
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps(score.to_dict()), encoding="utf-8")
    partial.replace(path)
