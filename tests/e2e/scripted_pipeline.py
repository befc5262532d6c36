"""A pipeline that computes nothing but keeps the contract: stages, segments, cancel, report, a playable result.

It stands in for the library's pipeline where a test is about the page and the queue (`LIPSYNC_PIPELINE`).
"""

import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from latentsync_core.options import LipSyncOptions
from latentsync_core.progress import Progress, ProgressCallback, Stage, ignore_progress
from latentsync_core.report import LipSyncReport

FPS = 25
SEGMENT_FRAMES = 25
SECONDS_PER_STEP = 0.06
DEFAULT_OPTIONS = LipSyncOptions()


class ScriptedPipeline:
    """Shows the video as it is, with the new sound, one second per segment."""

    @classmethod
    def from_bundle(cls, name_or_folder: str | Path, **_: Any) -> "ScriptedPipeline":
        return cls()

    def run(
        self,
        video: Path,
        audio: Path,
        out: Path,
        options: LipSyncOptions = DEFAULT_OPTIONS,
        *,
        work_dir: Path | None = None,
        on_progress: ProgressCallback = ignore_progress,
    ) -> LipSyncReport:
        seconds = float(
            _output("ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", str(audio))
        )
        frames = max(1, round(seconds * FPS))
        for stage in ("probe", "audio", "face"):
            on_progress(Progress(stage, 0, frames))
        segments = (work_dir or out.parent) / "segments"
        segments.mkdir(parents=True, exist_ok=True)
        source = ["-loop", "1", "-i", str(video)] if _is_picture(video) else ["-stream_loop", "-1", "-i", str(video)]
        even = ["-vf", "scale=trunc(iw/2)*2:trunc(ih/2)*2,format=yuv420p", "-r", str(FPS)]
        done = 0
        for index, start in enumerate(range(0, frames, SEGMENT_FRAMES)):
            length = min(SEGMENT_FRAMES, frames - start)
            _step(on_progress, "diffusion", start, length, frames, done)
            piece = segments / f"{index:05}.mp4"
            _output(
                "ffmpeg", "-v", "error", "-y", *source, "-an", "-frames:v", str(length), *even, str(piece) + ".part.mp4"
            )
            Path(f"{piece}.part.mp4").rename(piece)
            done += 1
            on_progress(Progress("encode", start + length, frames, done))
        on_progress(Progress("finish", frames, frames, done))
        partial = out.with_name("partial.mp4")
        _output(
            "ffmpeg", "-v", "error", "-y", *source, "-i", str(audio), "-map", "0:v:0", "-map", "1:a:0", "-frames:v",
            str(frames), *even, "-c:a", "aac", "-t", str(seconds), "-movflags", "+faststart", str(partial),
        )  # fmt: skip
        shutil.move(partial, out)
        return LipSyncReport(
            model="mini", device="cpu", dtype="float32", seed=options.seed, steps=options.steps or 8, guidance=1.5,
            frames=frames, fps=FPS, width=256, height=256, frames_with_face=frames, segments=done,
        )  # fmt: skip


def _step(on_progress: ProgressCallback, stage: Stage, start: int, length: int, frames: int, segments: int) -> None:
    for frame in range(length):
        time.sleep(SECONDS_PER_STEP)
        on_progress(Progress(stage, start + frame, frames, segments))


def _is_picture(path: Path) -> bool:
    return path.suffix in (".png", ".jpg", ".webp")


def _output(*arguments: str) -> str:
    return subprocess.run(arguments, check=True, capture_output=True, text=True, timeout=60).stdout.strip()
