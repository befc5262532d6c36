"""Videos side by side in processes, each with one thread of its own.

A file that takes its process down (libav is C, and footage is hostile) must not take the others along: what was running
then is done again, each in a process by itself, and the one that does it again is dropped.
"""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import cache
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from os import _exit
from pathlib import Path

import cv2

from latentsync_core.data_preparation.options import PrepareOptions
from latentsync_core.data_preparation.raw_videos import RawVideo
from latentsync_core.data_preparation.sync_offset import make_offset_meter
from latentsync_core.data_preparation.tally import BROKEN, ClipRow, VideoResult, stopped
from latentsync_core.data_preparation.video_steps import Meters, prepare_video
from latentsync_core.data_preparation.visual_quality import make_quality_meter

CRASHED = "crashed the process that read it"


def prepare_all(
    videos: Sequence[RawVideo], out_dir: Path, options: PrepareOptions
) -> Iterator[tuple[RawVideo, VideoResult]]:
    """Prepare videos and give each when it is finished."""
    if options.workers == 1:
        for video in videos:
            yield video, _prepare(video, out_dir, options)
        return
    left, suspects = list(videos), list[RawVideo]()
    while left:
        lost: list[RawVideo] = []
        yield from _run_pool(left, out_dir, options, lost)
        # The pool does not say which one it was: those at the front of what is lost were running.
        suspects += lost[: options.workers + 1]
        left = lost[options.workers + 1 :]
    for video in suspects:
        lost = []
        yield from _run_pool([video], out_dir, options, lost)
        for crashed in lost:
            yield crashed, _crashed(crashed)


def _run_pool(
    videos: Sequence[RawVideo], out_dir: Path, options: PrepareOptions, lost: list[RawVideo]
) -> Iterator[tuple[RawVideo, VideoResult]]:
    """Prepare videos in one pool of processes; those that it could not finish because one died are added to `lost`."""
    workers = min(options.workers, len(videos))
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=begin_process) as pool:
        futures = {pool.submit(_prepare, video, out_dir, options): video for video in videos}
        try:
            for future in as_completed(futures):
                try:
                    yield futures[future], future.result()
                except BrokenProcessPool:
                    lost.append(futures[future])
        finally:
            pool.shutdown(wait=True, cancel_futures=True)  # an error or Ctrl-C: begin no other video
    order = {video.name: number for number, video in enumerate(videos)}
    lost.sort(key=lambda video: order[video.name])


def begin_process() -> None:
    """Set up a process of the pool: one thread for each library, and no life after its parent's."""
    cv2.setNumThreads(1)
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    _exit(1)


def _crashed(video: RawVideo) -> VideoResult:
    row = ClipRow(video.name, str(video.path), video.identity, video.split, video.kind, video.language)
    return VideoResult(0.0, (replace(row, dropped_at=BROKEN, reason=CRASHED),), (stopped(BROKEN, CRASHED),))


def _prepare(video: RawVideo, out_dir: Path, options: PrepareOptions) -> VideoResult:
    try:
        return prepare_video(video, out_dir, options, _meters(options.syncnet, options.hyperiqa))
    except Exception as error:  # a fault of ours goes on up; in another process its traceback alone names no video
        error.add_note(f"while preparing {video.path}")
        raise


@cache
def _meters(syncnet: Path | None, hyperiqa: Path | None) -> Meters:
    """Load networks once a process; they run in one thread of it."""
    if syncnet or hyperiqa:
        import torch  # only where a network is used

        torch.set_num_threads(1)
    return Meters(make_offset_meter(syncnet), make_quality_meter(hyperiqa))
