"""The real pipeline in the warm child: tiny networks with random weights, a real face, a real queue."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from skimage import data, io

from latentsync_core.media.probe import probe_media
from latentsync_core.options import LipSyncOptions
from tests.conftest import run_ffmpeg
from tests.tiny_bundle import write_tiny_bundle
from tests.worker.conftest import OWNER, make_settings, running_worker, wait_for_state, wait_until
from worker.job import JobState, LipSyncJob
from worker.job_queue import JobQueue

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]


@dataclass(frozen=True)
class RealService:
    """A queue with a worker whose child runs the real pipeline, and a job's inputs."""

    queue: JobQueue
    picture: Path
    speech: Path

    def submit(self, steps: int) -> LipSyncJob:
        return self.queue.submit(OWNER, self.picture, self.speech, LipSyncOptions(steps=steps))

    @property
    def child(self) -> int | None:
        return self.queue.workers()[0].child_pid


@pytest.fixture(scope="module")
def real(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealService]:
    folder = tmp_path_factory.mktemp("real")
    picture, speech = folder / "face.png", folder / "speech.wav"
    io.imsave(picture, data.astronaut()[:320, 96:352])
    run_ffmpeg("-f", "lavfi", "-i", "anoisesrc=color=pink:sample_rate=16000:duration=6.4:seed=1,tremolo=f=4", speech)
    bundle = write_tiny_bundle(folder / "tiny")
    settings = make_settings(redis_url, folder / "jobs", f"real-{os.urandom(3).hex()}")
    settings = settings.model_copy(
        update={
            "pipeline": "latentsync_core:LipSyncPipeline",
            "default_model": str(bundle),
            "device": "cpu",
            "cancel_grace": 20.0,
        }
    )
    queue = JobQueue(settings)
    with running_worker(settings):
        wait_until(lambda: any(worker.models for worker in queue.workers()), 240)
        yield RealService(queue, picture, speech)
    sys.stdout.write((folder / "worker.log").read_text(encoding="utf-8")[-20_000:])


def test_a_real_run_obeys_a_cancel_and_leaves_its_process_warm(real: RealService):
    """How fast depends on the machine; that a slow one is killed in time is tested with the scripted pipeline."""
    child = real.child
    job = real.submit(steps=100)
    wait_until(lambda: real.queue.read(job.id).progress.stage == "diffusion", 240)
    real.queue.cancel(job.id, OWNER)
    seconds = wait_until(lambda: real.queue.read(job.id).state is JobState.CANCELLED, 20)
    print(f"cancel of a real job: {seconds:.2f} s")  # noqa: T201 - the measured figure
    assert Path(f"/proc/{child}").exists()


def test_a_real_job_runs_through_the_queue_even_if_its_child_is_killed_after_a_segment(real: RealService):
    job = real.submit(steps=2)
    wait_until(lambda: real.queue.read(job.id).progress.segments_done >= 1, 400)
    assert real.child is not None
    os.kill(real.child, signal.SIGKILL)
    done = wait_for_state(real.queue, job, JobState.FINISHED, JobState.FAILED, JobState.CANCELLED, seconds=400)
    assert done.state is JobState.FINISHED, done.message
    folder = real.queue.folder(job.id)
    report = json.loads(folder.report.read_text(encoding="utf-8"))
    assert (report["segments"], report["segments_resumed"]) == (len(folder.segments), 1)
    result = probe_media(folder.result)
    assert result.require_video().num_frames == 160
    assert result.audio is not None
