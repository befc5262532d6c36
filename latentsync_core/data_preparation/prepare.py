"""`prepare`: a folder of raw videos to training clips, by the seven steps of arXiv:2412.09262, section 4.1.

OUT_DIR gets a folder a clip (crops.npy, mesh.npy, pcm.npy, meta.json), manifest.csv and summary.html. Nothing that is
done is done again, so a run that was killed goes on where it was.
"""

import csv
import fcntl
import io
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from math import floor
from pathlib import Path

from latentsync_core.data_preparation.audit import Audit, audit
from latentsync_core.data_preparation.broken_files import SourceVideo, probe_source
from latentsync_core.data_preparation.dropped import Dropped
from latentsync_core.data_preparation.options import PrepareOptions
from latentsync_core.data_preparation.parallel import prepare_all
from latentsync_core.data_preparation.raw_videos import MANIFEST, RawVideo, list_raw_videos
from latentsync_core.data_preparation.resampling import VIDEO_FPS
from latentsync_core.data_preparation.step_records import write_atomically
from latentsync_core.data_preparation.summary_page import write_summary
from latentsync_core.data_preparation.tally import ClipRow, StepTally, VideoResult, add_up
from latentsync_core.data_preparation.video_steps import STEPS_FOLDER
from latentsync_core.errors import BadCheckpoint, BadOption

log = logging.getLogger(__name__)

SUMMARY = "summary.html"
LOCK = ".lock"  # no video is named so


@dataclass(frozen=True)
class Prepared:
    """What a run left.

    Attributes:
        rows: of the manifest.
        tallies: of the steps, of all runs into this folder.
        audit: of what is kept.
        videos_done_before: how many videos an earlier run had finished.
        strangers: clip folders in OUT_DIR that come from none of these videos; training would read them too.
    """

    rows: tuple[ClipRow, ...]
    tallies: tuple[StepTally, ...]
    audit: Audit
    videos_done_before: int
    strangers: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """What a run would do, as far as probing tells.

    Attributes:
        videos: files listed; `readable` of them pass the probe, with `seconds` of footage of `people` people.
        dropped: file and why, of the others.
        resampled: how many are not 25 fps.
        at_most_clips: clips, if no shot cut and no drop costs any.
        done_before: videos whose clips or records are there.
        languages: seconds by language; splits: people by split.
    """

    videos: int
    readable: int
    seconds: float
    people: int
    dropped: tuple[tuple[str, Dropped], ...]
    resampled: int
    at_most_clips: int
    done_before: int
    languages: dict[str, float]
    splits: dict[str, int]


def prepare_videos(
    raw_dir: Path, out_dir: Path, options: PrepareOptions, progress: Callable[[int, int], None] | None = None
) -> Prepared:
    """Prepare what is missing, and write manifest and summary of all there is.

    Args:
        raw_dir: raw videos, see `raw_videos`.
        out_dir: made if missing.
        options: the choices.
        progress: called with videos finished and videos in all.

    Raises:
        UnreadableMedia: if there are no videos, or the manifest is wrong.
        BadOption: if the two folders are one, or another run is at work in OUT_DIR.
        BadCheckpoint: if a network's weights cannot be used.
    """
    videos, options = _list(raw_dir, out_dir, options)
    results: dict[str, VideoResult] = {}
    with _locked(out_dir):
        for video, result in prepare_all(videos, out_dir, options):
            results[video.name] = result
            if progress:
                progress(len(results), len(videos))
        in_order = [results[video.name] for video in videos]
        rows = tuple(row for result in in_order for row in result.rows)
        tallies = add_up(tally for result in in_order for tally in result.tallies)
        found = audit(rows, len(videos), sum(result.seconds for result in in_order))
        write_atomically(out_dir / MANIFEST, _manifest(rows))
        write_atomically(out_dir / SUMMARY, write_summary(rows, tallies, found))
    known = {row.clip for row in rows}
    strangers = tuple(sorted(p.parent.name for p in out_dir.glob("*/meta.json") if p.parent.name not in known))
    return Prepared(rows, tuple(tallies), found, sum(result.was_done for result in in_order), strangers)


def plan_videos(raw_dir: Path, out_dir: Path, options: PrepareOptions) -> Plan:
    """Probe all files and say what a run would do; nothing is written.

    Raises:
        UnreadableMedia, BadOption: as `prepare_videos`.
    """
    videos, options = _list(raw_dir, out_dir, options)
    with ThreadPoolExecutor(options.workers) as threads:
        probed = list(threads.map(_probe, videos))
    readable = [(video, found) for video, found in zip(videos, probed, strict=True) if isinstance(found, SourceVideo)]
    languages: defaultdict[str, float] = defaultdict(float)
    for video, source in readable:
        languages[video.language] += source.seconds
    people = {video.identity: video.split for video, _ in readable}
    return Plan(
        videos=len(videos),
        readable=len(readable),
        seconds=sum(source.seconds for _, source in readable),
        people=len(people),
        dropped=tuple(
            (video.path.name, found) for video, found in zip(videos, probed, strict=True) if isinstance(found, Dropped)
        ),
        resampled=sum(source.grid.fps != VIDEO_FPS for _, source in readable),
        at_most_clips=sum(
            1 if options.clips == "whole" else floor(source.seconds / options.min_seconds) for _, source in readable
        ),
        done_before=sum(
            (out_dir / STEPS_FOLDER / video.name / "done.json").is_file() or (out_dir / video.name).is_dir()
            for video in videos
        ),
        languages=dict(languages),
        splits=dict(Counter(people.values())),
    )


def _list(raw_dir: Path, out_dir: Path, options: PrepareOptions) -> tuple[list[RawVideo], PrepareOptions]:
    if raw_dir.resolve() == out_dir.resolve():
        raise BadOption("RAW_DIR and OUT_DIR must be two folders: both have a manifest.csv")
    for weights in (options.syncnet, options.hyperiqa):
        if weights is not None and not weights.exists():
            raise BadCheckpoint(f"{weights}: no such weights file or folder")
    videos = list_raw_videos(raw_dir, options.val_share)
    if options.clips is None:
        options = replace(options, clips="whole" if (raw_dir / MANIFEST).is_file() else "cut")
    return videos, options


def _probe(video: RawVideo) -> SourceVideo | Dropped:
    try:
        return probe_source(video.path)
    except Dropped as dropped:
        return dropped


@contextmanager
def _locked(out_dir: Path) -> Iterator[None]:
    """Keep a second run out; the lock goes with the process, however it ends."""
    (out_dir / STEPS_FOLDER).mkdir(parents=True, exist_ok=True)
    with (out_dir / STEPS_FOLDER / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BadOption(f"another `prepare` is at work in {out_dir}") from error
        yield


def _manifest(rows: Sequence[ClipRow]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(ClipRow)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return text.getvalue()
