"""One video through all steps, going on after the last one that is done.

Arrays are made below `OUT/.steps/<video>/<clip>/`; a clip that passes everything is renamed to `OUT/<clip>/`, whole,
with its meta.json. What each step found stays in `.steps`, so that a later run counts what earlier ones did, and other
limits are applied without measuring again.
"""

import json
import logging
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from latentsync_core.data_preparation.aligned_faces import (
    BOXED,
    FaceMeasures,
    Frames,
    fault_of,
    look_for_faces,
    write_aligned,
)
from latentsync_core.data_preparation.broken_files import SourceVideo, check_source, probe_source
from latentsync_core.data_preparation.disturbance import sound_delay
from latentsync_core.data_preparation.dropped import Dropped, media_errors_drop
from latentsync_core.data_preparation.options import PrepareOptions
from latentsync_core.data_preparation.raw_videos import RawVideo
from latentsync_core.data_preparation.resampling import VIDEO_FPS, cut_sound, resample_picture, resample_sound
from latentsync_core.data_preparation.segments import cut_segments
from latentsync_core.data_preparation.shot_cuts import find_shots
from latentsync_core.data_preparation.step_records import Found, StepRecords, chain_key, source_key, write_atomically
from latentsync_core.data_preparation.sync_offset import AlignedClip, OffsetMeter, SyncOffset, judge_offset
from latentsync_core.data_preparation.tally import (
    ALIGN,
    BROKEN,
    QUALITY,
    RESAMPLE,
    SEGMENTS,
    SHOTS,
    SYNC,
    ClipRow,
    StepTally,
    VideoResult,
    passed,
    stopped,
)
from latentsync_core.data_preparation.visual_quality import QualityMeter, judge_quality
from latentsync_core.face.mediapipe_backend import MediapipeBackend
from latentsync_core.media.video_reader import VideoReader

log = logging.getLogger(__name__)

STEPS_FOLDER = ".steps"
DONE = "done"
FACES = ".faces"  # ending of the record that says a clip was begun
HELD_BYTES = 2**28  # of decoded frames a process, 6 s of 768 x 768
WHOLE_AT_MOST = 60.0  # seconds; the crops of one clip are in memory together
TOO_LONG = "too long for a whole clip"
TOO_SHORT = "shot shorter than a segment"


@dataclass(frozen=True)
class Meters:
    """What measures the clips; made once a process."""

    offset: OffsetMeter
    quality: QualityMeter


@dataclass(frozen=True)
class _Run:
    """What the steps of one video share; what is opened is opened when first asked for."""

    video: RawVideo
    out_dir: Path
    options: PrepareOptions
    meters: Meters
    records: StepRecords
    reader: Callable[[], VideoReader]
    detector: Callable[[], MediapipeBackend]
    sound_lead: float
    speech: NDArray[np.int16]
    key: str  # of the steps up to the segments
    delay: int  # frames by which the sound is made to come late

    def sound(self, first: int, count: int) -> NDArray[np.int16]:
        """Give the sound (640 count,) of a stretch of frames."""
        return cut_sound(self.speech, first - self.delay, count, self.sound_lead)

    def frames(self, first: int, stop: int) -> Callable[[], Frames]:
        """Give a way to read a stretch of frames as often as needed; a small one is decoded once and held."""
        reader = self.reader()
        if (stop - first) * reader.height * reader.width * 3 <= HELD_BYTES:
            held = list(reader.read(first, stop))
            return lambda: held
        return lambda: reader.read(first, stop)


def prepare_video(video: RawVideo, out_dir: Path, options: PrepareOptions, meters: Meters) -> VideoResult:
    """Take one video through the steps; finished ones are not done again.

    Returns:
        Rows for the manifest and counts of the steps, of this run and those before it.
    """
    records = StepRecords(out_dir / STEPS_FOLDER / video.name)
    done_key = _done_key(video, options)
    done = records.read(DONE, done_key)
    if done is not None and all((out_dir / row["clip"]).is_dir() for row in done["rows"] if row["state"] == "kept"):
        return _result_from(done)
    if (out_dir / video.name / "meta.json").is_file() and not records.folder.exists():
        return _of_a_forerunner(video, out_dir)
    result = _take_through(video, out_dir, options, meters, records)
    _remove_stale(out_dir, records, {row.clip for row in result.rows if row.state == "kept"})
    records.write(DONE, done_key, asdict(result))
    (records.folder / "speech.npy").unlink(missing_ok=True)
    return result


def _take_through(
    video: RawVideo, out_dir: Path, options: PrepareOptions, meters: Meters, records: StepRecords
) -> VideoResult:
    row = ClipRow(video.name, str(video.path), video.identity, video.split, video.kind, video.language)
    tallies: list[StepTally] = []
    seconds, step = 0.0, BROKEN
    probe = cache(lambda: probe_source(video.path))
    with ExitStack() as opened:
        try:
            key = chain_key(source_key(video.path), BROKEN, {})
            facts = records.run_once("broken", key, lambda: _check(probe()))
            seconds = facts["seconds"]
            row = replace(row, **{name: facts[name] for name in ("source_fps", "source_width", "source_height")})
            source = probe()
            tallies.append(passed(BROKEN))

            step, key = RESAMPLE, chain_key(key, RESAMPLE, {})
            speech_path = records.folder / "speech.npy"
            if not speech_path.is_file():
                (records.folder / "sound.json").unlink(missing_ok=True)
            sound = records.run_once("sound", key, lambda: {"frames": resample_sound(source, speech_path)})
            grid, num_frames = resample_picture(source), int(sound["frames"])
            tallies.append(passed(RESAMPLE))

            reader = cache(lambda: opened.enter_context(VideoReader(source.info, grid)))
            step, key = SHOTS, chain_key(key, SHOTS, {"clips": options.clips})
            shots = [(0, num_frames)]
            if options.clips != "whole":
                shots = records.run_once("shots", key, lambda: _find_shots(reader(), num_frames))["shots"]
            tallies.append(passed(SHOTS, len(shots)))
        except Dropped as dropped:
            tallies.append(stopped(step, dropped.reason))
            return VideoResult(seconds, (_drop(row, step, dropped),), tuple(tallies))
        segments, cutting = _cut_all(shots, options)
        tallies += cutting
        if not segments:
            reason = next(iter(cutting[0].dropped))
            fault = Dropped(reason, f"{num_frames / VIDEO_FPS:.1f} seconds in {len(shots)} shots")
            return VideoResult(seconds, (_drop(row, SEGMENTS, fault),), tuple(tallies))

        run = _Run(
            video=video,
            out_dir=out_dir,
            options=options,
            meters=meters,
            records=records,
            reader=reader,
            detector=cache(lambda: opened.enter_context(MediapipeBackend())),
            sound_lead=source.sound_lead,
            speech=np.load(speech_path, mmap_mode="r"),
            key=key,
            delay=sound_delay(video, options.disturb),
        )
        rows = []
        for number, (first, stop) in enumerate(segments):
            clip = video.name if options.clips == "whole" else f"{video.name}-{number:03d}"
            clip_row, clip_tallies = _prepare_clip(run, replace(row, clip=clip), first, stop)
            rows.append(clip_row)
            tallies += clip_tallies
    return VideoResult(seconds, tuple(rows), tuple(tallies))


def _prepare_clip(run: _Run, row: ClipRow, first: int, stop: int) -> tuple[ClipRow, list[StepTally]]:
    """Take one segment through steps 5 to 7."""
    count = stop - first
    row = replace(row, start=round(first / VIDEO_FPS, 2), frames=count, seconds=count / VIDEO_FPS)
    work, final = run.records.folder / row.clip, run.out_dir / row.clip
    if final.is_dir() and not work.exists():
        final.replace(work)  # of a run that was killed or had other limits; nothing measured on it is lost
    tallies: list[StepTally] = []
    step = ALIGN
    try:
        choices: dict[str, int | str] = {"resolution": run.options.resolution, "first": first, "stop": stop}
        if run.options.alignment != "affine":
            choices["alignment"] = run.options.alignment
        key = chain_key(run.key, ALIGN, choices)
        faces = _align(run, key, work, first, stop)
        row = replace(row, **{name: round(value, 3) for name, value in asdict(faces).items()})
        if fault := fault_of(faces):
            raise fault
        tallies.append(passed(ALIGN))

        step = SYNC
        offset = _measure_offset(run, key, work, first)
        row = replace(row, sync_measure=run.meters.offset.name)
        if offset:
            row = replace(row, sync_offset=offset.frames, sync_confidence=round(offset.confidence, 4))
        shift = judge_offset(offset, corrects=run.options.corrects_offsets, min_confidence=run.options.min_confidence)
        row = replace(row, sync_shift=shift, sound_delay=run.delay)
        tallies.append(passed(SYNC))

        step = QUALITY
        quality = _measure_quality(run, key, work)
        row = replace(row, quality_measure=run.meters.quality.name, quality=round(quality, 3))
        least = run.options.min_quality
        judge_quality(quality, run.meters.quality.least if least is None else least)
        tallies.append(passed(QUALITY))
    except Dropped as dropped:
        shutil.rmtree(work, ignore_errors=True)
        return _drop(row, step, dropped), [*tallies, stopped(step, dropped.reason)]
    row = replace(row, state="kept")
    (work / BOXED).unlink(missing_ok=True)
    np.save(work / "pcm.part.npy", run.sound(first + shift, count))
    (work / "pcm.part.npy").replace(work / "pcm.npy")  # never written in place: a folder may be copied with hard links
    meta = {**run.video.notes, **asdict(row)}
    write_atomically(work / "meta.json", json.dumps(meta))
    work.replace(final)
    return row, tallies


def _check(source: SourceVideo) -> Found:
    check_source(source)
    video = source.info.require_video()
    return {
        "seconds": source.seconds,
        "source_fps": round(float(source.grid.fps), 3),
        "source_width": video.width,
        "source_height": video.height,
    }


def _find_shots(reader: VideoReader, num_frames: int) -> Found:
    with media_errors_drop():
        return {"shots": find_shots(reader.read(0, num_frames))}


def _cut_all(shots: list[tuple[int, int]], options: PrepareOptions) -> tuple[list[tuple[int, int]], list[StepTally]]:
    """Cut all shots of a video, or take it whole; shots that give nothing are counted."""
    segments, tallies = [], []
    for first, stop in shots:
        if options.clips == "whole":
            cut = [(first, stop)] if stop - first <= WHOLE_AT_MOST * VIDEO_FPS else []
        else:
            cut = cut_segments(first, stop, options.min_seconds, options.max_seconds)
        segments += cut
        reason = TOO_LONG if options.clips == "whole" else TOO_SHORT
        tallies.append(passed(SEGMENTS, len(cut)) if cut else stopped(SEGMENTS, reason))
    return segments, tallies


def _align(run: _Run, key: str, work: Path, first: int, stop: int) -> FaceMeasures:
    name = f"{work.name}{FACES}"
    found = run.records.read(name, key)
    needs_boxes = run.options.offsets == "before" and run.records.read(f"{work.name}.sync", _sync_key(run, key)) is None
    is_there = (work / BOXED).is_file() if needs_boxes else work.is_dir()
    if found is not None and (fault_of(FaceMeasures(**found)) or is_there):
        return FaceMeasures(**found)
    with media_errors_drop():
        frames = run.frames(first, stop)
        meshes, faces = look_for_faces(frames(), run.detector())
        if not fault_of(faces):
            write_aligned(frames, meshes, work, run.options.resolution, run.options.alignment, needs_boxes)
    run.records.write(name, key, asdict(faces))
    return faces


def _measure_offset(run: _Run, key: str, work: Path, first: int) -> SyncOffset | None:
    def measure() -> Found:
        seen = BOXED if run.options.offsets == "before" else "crops.npy"
        crops, mesh = np.load(work / seen, mmap_mode="r"), np.load(work / "mesh.npy")
        offset = run.meters.offset.measure_offset(AlignedClip(crops, mesh, run.sound(first, len(crops))))
        return asdict(offset) if offset else {}

    found = run.records.run_once(f"{work.name}.sync", _sync_key(run, key), measure)
    return SyncOffset(**found) if found else None


def _sync_key(run: _Run, key: str) -> str:
    choices = _weights_choice(run.options.syncnet)
    if run.options.offsets == "before":
        choices["faces"] = "boxes"
    if run.delay:
        choices["delay"] = str(run.delay)
    return chain_key(key, SYNC, choices)


def _measure_quality(run: _Run, key: str, work: Path) -> float:
    def measure() -> Found:
        return {"quality": run.meters.quality.measure_quality(np.load(work / "crops.npy", mmap_mode="r"))}

    key = chain_key(key, QUALITY, _weights_choice(run.options.hyperiqa))
    return float(run.records.run_once(f"{work.name}.quality", key, measure)["quality"])


def _weights_choice(path: Path | None) -> dict[str, str]:
    return {} if path is None else {"weights": str(path.resolve()), "version": source_key(path)}


def _done_key(video: RawVideo, options: PrepareOptions) -> str:
    """Name everything that a video's result depends on: the file, what is known of it, and all choices."""
    choices = {name: str(value) for name, value in asdict(options).items() if name not in ("workers", "val_share")}
    weights = [_weights_choice(options.syncnet), _weights_choice(options.hyperiqa)]
    known = [video.identity, video.split, video.kind, video.language, dict(video.notes)]
    return chain_key(source_key(video.path), DONE, {"choices": choices, "weights": weights, "known": known})


def _result_from(done: Found) -> VideoResult:
    rows = tuple(ClipRow(**row) for row in done["rows"])
    tallies = tuple(StepTally(**tally) for tally in done["tallies"])
    return VideoResult(done["seconds"], rows, tallies, was_done=True)


def _of_a_forerunner(video: RawVideo, out_dir: Path) -> VideoResult:
    """Take over a clip that is there without records: `prepare` before it kept any; it is left as it is."""
    frames = json.loads((out_dir / video.name / "meta.json").read_text(encoding="utf-8"))["frames"]
    row = ClipRow(video.name, str(video.path), video.identity, video.split, video.kind, video.language, state="kept")
    seconds = frames / VIDEO_FPS
    return VideoResult(seconds, (replace(row, frames=frames, seconds=seconds),), (), was_done=True)


def _remove_stale(out_dir: Path, records: StepRecords, kept: set[str]) -> None:
    """Remove what earlier runs with other choices made of this video and this run does not keep."""
    begun = {path.name.removesuffix(f"{FACES}.json") for path in records.folder.glob(f"*{FACES}.json")}
    for clip in begun - kept:
        shutil.rmtree(out_dir / clip, ignore_errors=True)


def _drop(row: ClipRow, step: str, dropped: Dropped) -> ClipRow:
    log.info("dropped %s at %r: %s", row.clip, step, dropped)
    return replace(row, state="dropped", dropped_at=step, reason=dropped.reason, detail=dropped.detail)
