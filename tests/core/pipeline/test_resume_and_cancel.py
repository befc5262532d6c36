"""A run can be stopped at any time, leaves nothing behind, goes on where it was, and gives the same frames."""

import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from latentsync_core import pipeline as pipeline_module
from latentsync_core.errors import Cancelled
from latentsync_core.options import LipSyncOptions
from latentsync_core.pipeline import LipSyncPipeline
from latentsync_core.progress import Progress
from tests.core.clips import Frame, tone


@pytest.fixture
def short_segments(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pipeline_module, "SEGMENT_SECONDS", 0.6)  # 15 frames: cuts across windows of 16


class StopAfter:
    """Cancels once so many segments are finished."""

    def __init__(self, segments: int) -> None:
        self.segments = segments
        self.when = 0.0

    def __call__(self, progress: Progress) -> None:
        if progress.segments_done >= self.segments and progress.stage == "diffusion":
            self.when = time.perf_counter()
            raise Cancelled("stop")


def same_frames(first: dict[int, Frame], second: dict[int, Frame]) -> bool:
    return first.keys() == second.keys() and all(np.array_equal(first[n], second[n]) for n in first)


@pytest.mark.parametrize("kind", ["pipeline", "anchored_pipeline"])
@pytest.mark.usefixtures("short_segments")
def test_a_cancelled_run_goes_on_after_its_last_segment_with_the_same_frames(
    kind: str, request: pytest.FixtureRequest, face_clip: Path, tmp_path: Path, composed: dict[int, Frame]
):
    lip_sync: LipSyncPipeline = request.getfixturevalue(kind)
    sound = tone(tmp_path / "long.wav", 3.0)
    whole = lip_sync.run(face_clip, sound, tmp_path / "whole.mp4", work_dir=tmp_path / "whole")
    expected = dict(composed)
    composed.clear()

    with pytest.raises(Cancelled):
        lip_sync.run(face_clip, sound, tmp_path / "out.mp4", work_dir=tmp_path / "work", on_progress=StopAfter(2))
    stopped = dict(composed)
    assert sorted(path.name for path in (tmp_path / "work" / "segments").iterdir())[:2] == ["00000.mp4", "00001.mp4"]
    composed.clear()

    report = lip_sync.run(face_clip, sound, tmp_path / "out.mp4", work_dir=tmp_path / "work")
    assert report.segments == whole.segments == 5
    assert report.segments_resumed >= 2
    assert min(composed) == 15 * report.segments_resumed
    assert (report.frames_with_face, report.frames) == (whole.frames_with_face, whole.frames)
    assert same_frames({**stopped, **composed}, expected)
    for number in range(5):
        name = f"segments/{number:05d}.mp4"
        assert (tmp_path / "work" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.usefixtures("short_segments")
def test_other_options_start_over(pipeline: LipSyncPipeline, face_clip: Path, speech: Path, tmp_path: Path):
    work = tmp_path / "work"
    pipeline.run(face_clip, speech, tmp_path / "out.mp4", work_dir=work)
    again = pipeline.run(face_clip, speech, tmp_path / "out.mp4", work_dir=work)
    assert again.segments_resumed == again.segments
    other = pipeline.run(face_clip, speech, tmp_path / "out.mp4", LipSyncOptions(seed=5), work_dir=work)
    assert other.segments_resumed == 0


def test_one_seed_gives_the_same_frames_and_another_seed_others(
    pipeline: LipSyncPipeline, face_clip: Path, tmp_path: Path, composed: dict[int, Frame]
):
    sound = tone(tmp_path / "short.wav", 0.4)
    results = []
    for seed in (7, 7, 8):
        pipeline.run(face_clip, sound, tmp_path / "out.mp4", LipSyncOptions(seed=seed))
        results.append(dict(composed))
        composed.clear()
    assert same_frames(results[0], results[1])
    assert not same_frames(results[0], results[2])


@pytest.mark.parametrize("stage", ["probe", "audio", "face", "diffusion", "finish"])
def test_cancelling_leaves_no_thread_no_child_and_no_file(
    pipeline: LipSyncPipeline, face_clip: Path, tmp_path: Path, stage: str
):
    sound = tone(tmp_path / "long.wav", 2.0)
    when = 0.0

    def cancel(progress: Progress) -> None:
        nonlocal when
        if progress.stage == stage:
            when = time.perf_counter()
            raise Cancelled("stop")

    threads_before = set(threading.enumerate())
    with pytest.raises(Cancelled):
        pipeline.run(face_clip, sound, tmp_path / "out.mp4", work_dir=tmp_path / "work", on_progress=cancel)
    assert time.perf_counter() - when < 3  # well below one second on a machine that is not busy
    assert set(threading.enumerate()) <= threads_before
    assert not [child for child in psutil.Process().children() if child.name() == "ffmpeg"]
    assert not list(tmp_path.glob("out*"))
    assert not list((tmp_path / "work").rglob("*.part"))


def test_a_private_work_folder_is_removed(
    pipeline: LipSyncPipeline, face_clip: Path, speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    pipeline.run(face_clip, speech, tmp_path / "out.mp4")
    assert not list((tmp_path / "temporary").iterdir())
