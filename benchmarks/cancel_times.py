"""How long a cancel takes with the real bundle `mini`, at the stages of a job that a person can hit.

    python -m benchmarks.cancel_times [--video samples/sample.mp4] [--audio samples/sample.wav]

Starts a Redis and a worker of its own, submits the job, cancels it at a moment, waits until its state is cancelled;
then again for the next moment, with the same worker. The issue's bound is 3 s.
"""

import argparse
import time
from pathlib import Path

from scripts.stack import REPOSITORY, RUN_FOLDER, running_stack
from worker.job import LipSyncJob
from worker.job_queue import JobQueue
from worker.settings import Settings

OWNER = "benchmark"
POLL_SECONDS = 0.02
#: stage, frames done in it
MOMENTS = (("load", 0), ("face", 0), ("diffusion", 1), ("diffusion", 40), ("diffusion", 100))


def cancel_at(queue: JobQueue, job: LipSyncJob, stage: str, frames_done: int) -> tuple[str, float]:
    """Cancel the job once it has come to the moment; gives what it was doing, and seconds until it was cancelled."""
    while True:
        job = queue.read(job.id)
        progress = job.progress
        if job.state.is_over:
            return f"{job.state} before {stage}", 0.0
        if progress.stage == stage and progress.frames_done >= frames_done:
            break
        time.sleep(POLL_SECONDS)
    began = time.monotonic()
    queue.cancel(job.id, OWNER)
    while not (job := queue.read(job.id)).state.is_over:
        time.sleep(POLL_SECONDS)
    return f"{job.state} in {progress.stage}, frame {progress.frames_done}", time.monotonic() - began


def main() -> None:
    """Print a line for each moment."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--video", type=Path, default=REPOSITORY / "samples" / "sample.mp4")
    parser.add_argument("--audio", type=Path, default=REPOSITORY / "samples" / "sample.wav")
    chosen = parser.parse_args()
    folder = RUN_FOLDER / "cancel_times"
    with running_stack(folder, {"LIPSYNC_DATA_DIR": str(folder / "jobs")}) as stack:
        stack.start_redis()
        stack.start_worker()
        redis_url, data_dir = stack.environment["LIPSYNC_REDIS_URL"], Path(stack.environment["LIPSYNC_DATA_DIR"])
        queue = JobQueue(Settings(redis_url=redis_url, data_dir=data_dir))
        for stage, frames_done in MOMENTS:
            job = queue.submit(OWNER, chosen.video, chosen.audio)
            what, seconds = cancel_at(queue, job, stage, frames_done)
            print(f"{what}: {seconds:.2f} s", flush=True)
            queue.delete(job.id, OWNER)


if __name__ == "__main__":
    main()
