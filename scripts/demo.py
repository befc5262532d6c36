"""`make demo`: the bundled sample through the real queue; leaves outputs/demo.mp4.

The demo has a run folder, a Redis and job folders of its own, so it neither disturbs nor needs a running studio.
"""

import os
import shutil
import sys
import time
from pathlib import Path

from latentsync_core.errors import LipSyncError
from scripts.stack import REPOSITORY, RUN_FOLDER, Stack, StackError, running_stack
from worker.errors import QueueError
from worker.job import JobState, LipSyncJob
from worker.job_queue import JobQueue
from worker.settings import Settings

OUT = REPOSITORY / "outputs" / "demo.mp4"
OWNER = "demo"
POLL_SECONDS = 0.5
SAY_SECONDS = 5.0  # between two lines while the stage stays the same


def main() -> int:
    """Run the demo; gives the exit code."""
    folder = RUN_FOLDER / "demo"
    own = {"LIPSYNC_DATA_DIR": str(folder / "jobs"), "LIPSYNC_PRELOAD": "true"}
    try:
        with running_stack(folder, own) as stack:
            run_demo(stack)
    except (StackError, LipSyncError, QueueError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped\n")
        return 130
    return 0


def run_demo(stack: Stack) -> None:
    """Start the stack, send the sample, follow it, fetch the result.

    Raises:
        StackError: if a process fails, or the job does.
    """
    began = time.monotonic()
    print("Starting Redis and a worker ...", flush=True)
    stack.start_redis()
    stack.start_worker()
    redis_url, data_dir = stack.environment["LIPSYNC_REDIS_URL"], Path(stack.environment["LIPSYNC_DATA_DIR"])
    queue = JobQueue(Settings(redis_url=redis_url, data_dir=data_dir))
    samples = REPOSITORY / "samples"
    job = queue.submit(OWNER, samples / "sample.mp4", samples / "sample.wav")
    print(f"Job {job.id[:8]}: {job.video.name} shall say {job.audio.name}", flush=True)
    job = follow(stack, queue, job)
    if job.state is not JobState.FINISHED:
        raise StackError(f"the job is {job.state}: {job.message}\n{stack.last_words('worker')}")
    OUT.parent.mkdir(exist_ok=True)
    partial = OUT.with_name(f".{OUT.name}.partial")
    shutil.copyfile(queue.folder(job.id).result, partial)
    os.replace(partial, OUT)
    lip_sync_seconds = job.seconds_running
    queue.delete(job.id, OWNER)
    print(
        f"\n{OUT.relative_to(REPOSITORY)} is ready: {job.progress.frames_total} frames; "
        f"lip-sync {lip_sync_seconds:.0f} s, in all {time.monotonic() - began:.0f} s. Next: make app"
    )


def follow(stack: Stack, queue: JobQueue, job: LipSyncJob) -> LipSyncJob:
    """Say how the job goes until it is over; gives it as it ended."""
    said, said_at = "", 0.0
    while not job.state.is_over:
        line, now = describe(job), time.monotonic()
        is_new_stage = line.split()[:1] != said.split()[:1]
        if line != said and (is_new_stage or now - said_at > SAY_SECONDS):
            print(f"  {line}", flush=True)
            said, said_at = line, now
        time.sleep(POLL_SECONDS)
        stack.check()
        job = queue.read(job.id)
    return job


def describe(job: LipSyncJob) -> str:
    """One line on where a job stands."""
    if job.state is JobState.QUEUED:
        return "queued"
    progress = job.progress
    frames = f" {progress.frames_done}/{progress.frames_total} frames" if progress.frames_total else ""
    left = "" if progress.seconds_left is None else f", about {progress.seconds_left:.0f} s left"
    return f"{progress.stage}{frames} ({progress.fraction:.0%}{left})"


if __name__ == "__main__":
    sys.exit(main())
