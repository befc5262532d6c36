"""How far a job is, how long it still takes, and how long it may take at most."""

import time
from collections import deque
from collections.abc import Callable

from worker.job import InputFile, JobProgress
from worker.messages import Advanced
from worker.settings import Settings

#: Where each stage begins and ends on the way from 0 to 1. The pipeline's stages overlap: detection is ahead, while
#: decoding, pasting and encoding keep step with the diffusion, so its frames tell how far the whole is. Measured on the
#: sample: 2 % before the faces, generating from 18 % to 98 %, of 31 s; of a longer video the faces take less.
STAGE_SPANS = {
    "load": (0.00, 0.02),
    "probe": (0.02, 0.03),
    "audio": (0.03, 0.04),
    "face": (0.04, 0.15),
    "diffusion": (0.15, 0.98),
    "encode": (0.15, 0.98),
    "finish": (0.98, 0.99),  # 1 is what is finished
}
UNTIMED_STAGES = ("load", "probe", "audio")  # they tell nothing about the rest

WINDOW_SECONDS = 30.0  # the speed of the last half minute tells when the rest is done
MIN_WINDOW_SECONDS = 1.5

ASSUMED_FPS = 25.0  # of a picture, for the time limit
ASSUMED_STEPS = 30  # where the bundle chooses


class ProgressMeter:
    """Turns the pipeline's stages into one fraction and a time left, for one attempt."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._fraction = 0.0
        self._is_generating = False
        self._window: deque[tuple[float, float]] = deque()  # (when, fraction)

    def update(self, news: Advanced) -> JobProgress:
        """Take in a report."""
        begin, end = STAGE_SPANS[news.stage]
        share = min(1.0, news.frames_done / news.frames_total) if news.frames_total > 0 else 0.0
        self._fraction = max(self._fraction, begin + (end - begin) * share)
        return JobProgress(
            stage=news.stage,
            frames_done=news.frames_done,
            frames_total=news.frames_total,
            segments_done=news.segments_done,
            fraction=self._fraction,
            seconds_left=self._seconds_left(news.stage),
            detail=news.detail,
        )

    def _seconds_left(self, stage: str) -> float | None:
        if stage in UNTIMED_STAGES:
            return None
        now = self._clock()
        if stage == "diffusion" and not self._is_generating:
            self._is_generating = True
            self._window.clear()  # the speed of the detection says little about that of the generation
        self._window.append((now, self._fraction))
        while now - self._window[0][0] > WINDOW_SECONDS:
            self._window.popleft()
        began, fraction_then = self._window[0]
        gained = self._fraction - fraction_then
        if now - began < MIN_WINDOW_SECONDS or gained <= 0.0:
            return None
        return (1.0 - self._fraction) * (now - began) / gained


def time_limit(video: InputFile, audio: InputFile, steps: int | None, settings: Settings) -> float:
    """Seconds after which a job is stopped as hopeless: generous, sized by its frames, steps and device."""
    seconds = max(video.seconds or 0.0, audio.seconds or 0.0)
    frames = seconds * (video.fps or ASSUMED_FPS)
    on_cuda = settings.device.startswith("cuda")
    per_step = settings.timeout_per_frame_step_cuda if on_cuda else settings.timeout_per_frame_step_cpu
    per_frame = settings.timeout_per_frame + per_step * (steps or ASSUMED_STEPS)
    return settings.timeout_base + frames * per_frame
