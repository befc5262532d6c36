"""Progress: the one small message by which a run reports and can be cancelled. No torch here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Stage = Literal["load", "probe", "audio", "face", "diffusion", "encode", "finish"]


@dataclass(frozen=True)
class Progress:
    """Where a run stands.

    Attributes:
        stage: what it is doing.
        frames_done: result frames that are finished in this stage.
        frames_total: result frames in all (0 while unknown).
        segments_done: finished output segments that can be played already.
    """

    stage: Stage
    frames_done: int = 0
    frames_total: int = 0
    segments_done: int = 0


#: Called at every denoising step and at least once per batch of frames in every other stage.
#: To cancel, it raises `latentsync_core.errors.Cancelled`.
ProgressCallback = Callable[[Progress], None]


def ignore_progress(progress: Progress) -> None:
    """The callback of someone who does not want to know."""
