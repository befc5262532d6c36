"""How far a job is, how long it still takes, and how long it may take at most."""

import time
from collections import deque
from collections.abc import Callable

from worker.job import InputFile, JobProgress
from worker.messages import Advanced
from worker.settings import Settings

#: Share of a whole job's time per stage, in the order of the pipeline; measured with the mini bundle on a CPU.
STAGE_SHARES = {
    "load": 0.02,
    "probe": 0.01,
    "audio": 0.01,
    "face": 0.15,
    "diffusion": 0.66,
    "encode": 0.13,
    "finish": 0.02,
}
STAGES = list(STAGE_SHARES)

WINDOW_SECONDS = 30.0  # the speed of the last half minute tells when the rest is done
MIN_WINDOW_SECONDS = 1.5

ASSUMED_FPS = 25.0  # of a picture, for the time limit
ASSUMED_STEPS = 30  # where the bundle chooses


class ProgressMeter:
    """Turns the pipeline's stages into one fraction and a time left, for one attempt."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._shares_done = dict.fromkeys(STAGES, 0.0)
        self._fraction = 0.0
        self._window: deque[tuple[float, float]] = deque()  # (when, fraction)

    def update(self, news: Advanced) -> JobProgress:
        """Take in a report.

        Stages may interleave (segment by segment) or follow each other; the stages before the first one that
        counts frames are done once a later one speaks.
        """
        if news.frames_total > 0:
            self._shares_done[news.stage] = min(1.0, news.frames_done / news.frames_total)
        for stage in STAGES[: STAGES.index(news.stage)]:
            if stage in ("load", "probe", "audio"):
                self._shares_done[stage] = 1.0
        done = sum(STAGE_SHARES[stage] * share for stage, share in self._shares_done.items())
        if news.stage == "finish":
            done = max(done, 1.0 - STAGE_SHARES["finish"])
        self._fraction = max(self._fraction, min(done, 1.0))
        return JobProgress(
            stage=news.stage,
            frames_done=news.frames_done,
            frames_total=news.frames_total,
            segments_done=news.segments_done,
            fraction=self._fraction,
            seconds_left=self._seconds_left(),
        )

    def _seconds_left(self) -> float | None:
        now = self._clock()
        if self._shares_done["face"] + self._shares_done["diffusion"] == 0.0:
            return None  # loading says nothing about the rest
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
