"""One run under supervision, with a scripted pipeline and no queue: limits, wishes, models."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worker.conftest import make_settings
from tests.worker.scripted_pipeline import Script
from worker.estimate import time_limit
from worker.gpu_process import GpuProcess
from worker.job import InputFile
from worker.messages import Advanced, RunRequest
from worker.settings import Settings
from worker.supervise import Outcome, Supervisor, Wish


@pytest.fixture(scope="module")
def limits(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("supervise")
    settings = make_settings("unix:///nowhere.sock", folder, "none")
    return settings.model_copy(update={"stall_timeout": 1.0, "preload": False})


@pytest.fixture(scope="module")
def gpu(limits: Settings) -> Iterator[GpuProcess]:
    process = GpuProcess(limits)
    yield process
    process.kill()


def run(
    gpu: GpuProcess, limits: Settings, folder: Path, script: Script, seconds: float = 60.0, wish: Wish = Wish.GO_ON
) -> tuple[Outcome, list[Advanced]]:
    script.write(folder)
    for name in ("video", "audio"):
        (folder / name).write_bytes(b"x")
    paths = {"video": folder / "video", "audio": folder / "audio", "out": folder / "out", "report": folder / "report"}
    seen: list[Advanced] = []
    supervisor = Supervisor(
        gpu,
        limits,
        seconds,
        seen.append,
        lambda: wish if any(news.stage == "diffusion" for news in seen) else Wish.GO_ON,
    )
    outcome = supervisor.run(RunRequest(model="mini", work_dir=folder, options={"steps": 3}, **paths))
    return outcome, seen


def test_a_run_passes_its_progress_on_and_finishes(gpu: GpuProcess, limits: Settings, tmp_path: Path):
    outcome, seen = run(gpu, limits, tmp_path, Script(segments=2))
    assert (outcome.how, outcome.warnings) == ("finished", ("scripted",))
    assert {"load", "probe", "audio", "face", "diffusion", "encode", "finish"} == {news.stage for news in seen}
    assert seen[-1].segments_done == 2


def test_a_run_without_progress_is_ended(gpu: GpuProcess, limits: Settings, tmp_path: Path):
    outcome, _ = run(gpu, limits, tmp_path, Script(deaf_in="face"))
    assert (outcome.how, outcome.error) == ("failed", "Stalled")
    assert gpu.pid is None


def test_a_run_that_lingers_without_getting_on_is_ended_too(gpu: GpuProcess, limits: Settings, tmp_path: Path):
    outcome, _ = run(gpu, limits, tmp_path, Script(linger_in="encode", step_seconds=0.05))
    assert (outcome.how, outcome.error) == ("failed", "Stalled")


def test_a_run_past_its_time_limit_is_ended(gpu: GpuProcess, limits: Settings, tmp_path: Path):
    outcome, _ = run(gpu, limits, tmp_path, Script(segments=1000, steps=10, step_seconds=0.05), seconds=2.0)
    assert (outcome.how, outcome.error) == ("failed", "TimedOut")


def test_a_run_is_stopped_for_its_worker_as_for_its_owner(gpu: GpuProcess, limits: Settings, tmp_path: Path):
    for wish, how in ((Wish.STOP, "stopped"), (Wish.CANCEL, "cancelled")):
        outcome, _ = run(gpu, limits, tmp_path, Script(linger_in="diffusion", step_seconds=0.05), wish=wish)
        assert outcome.how == how
        assert gpu.pid is not None


def test_the_real_time_limit_is_far_above_what_a_job_takes():
    clip = InputFile(name="v", file="v", size=1, seconds=10.0, fps=25.0)
    assert time_limit(clip, clip, 20, Settings(device="cuda")) > 20 * 60
