"""Fractions, time left and time limits."""

from worker.estimate import ProgressMeter, time_limit
from worker.job import InputFile
from worker.messages import Advanced
from worker.settings import Settings


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_fraction_never_falls_whether_stages_follow_or_interleave():
    for interleaved in (False, True):
        meter = ProgressMeter(Clock())
        order = (
            [(stage, frame) for frame in range(1, 101) for stage in ("face", "diffusion", "encode")]
            if interleaved
            else [(stage, frame) for stage in ("face", "diffusion", "encode") for frame in range(1, 101)]
        )
        fractions = [meter.update(Advanced(run=1, stage=s, frames_done=f, frames_total=100)).fraction for s, f in order]
        fractions.append(meter.update(Advanced(run=1, stage="finish", frames_done=100, frames_total=100)).fraction)
        assert fractions == sorted(fractions)
        assert fractions[0] < 0.3
        assert fractions[-1] == 0.99


def test_the_time_left_follows_the_speed():
    clock = Clock()
    meter = ProgressMeter(clock)
    assert meter.update(Advanced(run=1, stage="load")).seconds_left is None
    for frame in range(1, 51):  # ten frames a second, half of the way
        clock.now += 0.1
        for stage in ("face", "diffusion", "encode"):
            progress = meter.update(Advanced(run=1, stage=stage, frames_done=frame, frames_total=100))
    assert progress.seconds_left is not None
    assert abs(progress.seconds_left - 5.0) < 1.0


def test_the_time_limit_grows_with_frames_and_steps_and_is_shorter_on_a_gpu():
    video = InputFile(name="v", file="v", size=1, seconds=10.0, fps=25.0)
    longer = video.model_copy(update={"seconds": 20.0})
    sound = InputFile(name="a", file="a", size=1, seconds=5.0)
    on_cpu, on_gpu = Settings(device="cpu"), Settings(device="cuda")
    assert time_limit(longer, sound, 8, on_cpu) > time_limit(video, sound, 8, on_cpu)
    assert time_limit(video, sound, 20, on_cpu) > time_limit(video, sound, 8, on_cpu)
    assert time_limit(video, sound, 8, on_gpu) < time_limit(video, sound, 8, on_cpu)
    assert time_limit(video, sound, None, on_gpu) > on_gpu.timeout_base
