"""A pipeline without a model, for tests of the service: it does what `script.json` in the job's folder says.

It keeps the real pipeline's promises: segments appear atomically in `work_dir/segments`, a second run with the same
`work_dir` goes on after the last one, the callback is called at every step, the result appears under its final name.
"""

import json
import os
import signal
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from latentsync_core import errors
from latentsync_core.options import LipSyncOptions
from latentsync_core.progress import Progress, ProgressCallback, Stage, ignore_progress
from latentsync_core.report import LipSyncReport

FRAMES_PER_SEGMENT = 10


@dataclass
class Script:
    """What a run shall do.

    Attributes:
        segments: how many the result has.
        steps: denoising steps per segment.
        step_seconds: how long a step takes.
        linger_in: stage in which to stay for ever, calling back at every step.
        deaf_in: stage in which to stay for ever without calling back.
        die_in_segment: kill this process with SIGKILL in the middle of this segment...
        deaths: ...so many times.
        fail_with: name of the error to raise in the diffusion stage, "ZeroDivisionError" or one of the typed ones.
    """

    segments: int = 3
    steps: int = 4
    step_seconds: float = 0.01
    linger_in: Stage | None = None
    deaf_in: Stage | None = None
    die_in_segment: int | None = None
    deaths: int = 0
    fail_with: str | None = None

    def write(self, folder: Path) -> None:
        (folder / "script.json").write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Script":
        path = folder / "script.json"
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})


class ScriptedPipeline:
    """Stands in for `latentsync_core.LipSyncPipeline`."""

    @classmethod
    def from_bundle(cls, name: str, *, device: str = "auto", cache_dir: Path | None = None) -> "ScriptedPipeline":
        if name == "slow-to-load":
            time.sleep(60)
        if name == "no-such-bundle":
            raise errors.BundleNotFound("There is no model named 'no-such-bundle'.")
        return cls()

    def run(
        self,
        video: Path,
        audio: Path,
        out: Path,
        options: LipSyncOptions,
        *,
        work_dir: Path,
        on_progress: ProgressCallback = ignore_progress,
    ) -> LipSyncReport:
        assert video.is_file()
        assert audio.is_file()
        script = Script.read(work_dir)
        _note(work_dir / "pids.txt", os.getpid())
        segments = work_dir / "segments"
        segments.mkdir(exist_ok=True)
        total = script.segments * FRAMES_PER_SEGMENT

        def stage(name: Stage, done: int) -> None:
            finished = len(list(segments.glob("*.mp4")))
            on_progress(Progress(name, done, total, finished))
            while script.linger_in == name:
                time.sleep(script.step_seconds)
                on_progress(Progress(name, done, total, finished))
            while script.deaf_in == name:
                time.sleep(1)

        stage("probe", 0)
        stage("audio", 0)
        for index in range(len(list(segments.glob("*.mp4"))), script.segments):
            stage("face", (index + 1) * FRAMES_PER_SEGMENT)
            self._denoise(script, work_dir, index, stage)
            stage("encode", (index + 1) * FRAMES_PER_SEGMENT)
            partial = segments / f"{index:05d}.part"
            partial.write_bytes(b"segment")
            partial.rename(segments / f"{index:05d}.mp4")
            _note(work_dir / "computed.txt", index)
        stage("finish", total)
        partial = out.with_suffix(".part")
        partial.write_bytes(b"result")
        partial.rename(out)
        report = LipSyncReport("scripted", "cpu", "float32", options.seed, options.steps or script.steps, 1.0)
        report.warnings.append("scripted")
        return report

    def _denoise(self, script: Script, work_dir: Path, index: int, stage: Any) -> None:
        for step in range(script.steps):
            time.sleep(script.step_seconds)
            stage("diffusion", index * FRAMES_PER_SEGMENT + step * FRAMES_PER_SEGMENT // script.steps)
            if script.fail_with == "ZeroDivisionError":
                raise ZeroDivisionError("secret detail of the inside")
            if script.fail_with == "FaceNotFound":
                raise errors.FaceNotFound(frames_looked_at=42)
            deaths = work_dir / "deaths.txt"
            if script.die_in_segment == index and _count(deaths) < script.deaths:
                _note(deaths, index)
                os.kill(os.getpid(), signal.SIGKILL)


def _note(path: Path, value: int) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{value}\n")


def _count(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines()) if path.exists() else 0
