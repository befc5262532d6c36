"""What came into each step, what went out, and why the rest did not; and the row of one clip in the manifest."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

#: The steps in order, with what they count.
STEPS = {
    "remove broken files": "videos",
    "25 fps and 16 kHz": "videos",
    "split at shot cuts": "videos to shots",
    "cut into segments": "shots to segments",
    "align faces": "segments",
    "sound offset": "clips",
    "visual quality": "clips",
}
BROKEN, RESAMPLE, SHOTS, SEGMENTS, ALIGN, SYNC, QUALITY = STEPS


@dataclass(frozen=True)
class StepTally:
    """One step: how many came in, how many went out, and how many were dropped for which reason."""

    step: str
    came_in: int
    went_out: int
    dropped: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ClipRow:
    """One row of the output's manifest: a clip, or a video that gave none. None = not measured.

    Attributes:
        clip: the clip's folder; for a video that gave no clip, its name.
        source: the file.
        state: "kept" or "dropped".
        dropped_at: the step, its `reason` and `detail`.
        start: seconds of the source at which the clip begins.
        frames: at 25 fps, as `seconds`.
        source_fps: of the file, as `source_width` and `source_height` (pixels).
        face_px: median height of the face in the source's pixels.
        yaw: median turn of the face, degrees.
        faceless_share: share of frames without a face; several_share: with a second one; still_share: that repeat
            the one before.
        sync_measure: what measured the offset and its confidence.
        sync_offset: frames, positive = the sound came later than the lips.
        sync_shift: frames by which the sound was brought forward.
        sound_delay: frames by which `--disturb` had made it late.
        quality_measure: what measured the quality.
    """

    clip: str
    source: str
    identity: str
    split: str
    kind: str
    language: str
    state: str = "dropped"
    dropped_at: str = ""
    reason: str = ""
    detail: str = ""
    start: float | None = None
    frames: int | None = None
    seconds: float | None = None
    source_fps: float | None = None
    source_width: int | None = None
    source_height: int | None = None
    face_px: float | None = None
    yaw: float | None = None
    faceless_share: float | None = None
    several_share: float | None = None
    still_share: float | None = None
    sync_measure: str = ""
    sync_offset: int | None = None
    sync_confidence: float | None = None
    sync_shift: int | None = None
    sound_delay: int | None = None
    quality_measure: str = ""
    quality: float | None = None


@dataclass(frozen=True)
class VideoResult:
    """What became of one video: its length, rows and counts."""

    seconds: float
    rows: tuple[ClipRow, ...]
    tallies: tuple[StepTally, ...]
    was_done: bool = False


def passed(step: str, went_out: int = 1) -> StepTally:
    """Count one thing that passed a step, as one or as several."""
    return StepTally(step, 1, went_out)


def stopped(step: str, reason: str) -> StepTally:
    """Count one thing that a step dropped."""
    return StepTally(step, 1, 0, {reason: 1})


def add_up(tallies: Iterable[StepTally]) -> list[StepTally]:
    """Add tallies of the same step; all steps, in order."""
    total = {step: StepTally(step, 0, 0) for step in STEPS}
    for tally in tallies:
        before = total[tally.step]
        total[tally.step] = replace(
            before,
            came_in=before.came_in + tally.came_in,
            went_out=before.went_out + tally.went_out,
            dropped=dict(Counter(before.dropped) + Counter(tally.dropped)),
        )
    return list(total.values())
