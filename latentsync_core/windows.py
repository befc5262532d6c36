"""Windows: which frames the network sees together.

The temporal layers look at 16 frames at a time (arXiv:2412.09262). The frames of a result are divided into runs, in
which one face is seen without a cut, and runs into blocks. Successive blocks of a run overlap, and the shared frames'
latents are blended from one block to the other, so that nothing jumps where two windows meet (benchmarks/window_joins).
A network without temporal layers and with norms per frame treats its frames one by one; its blocks need no overlap.
Frames without a face form blocks of their own, which pass through.

The layers know 25 frames per second. At 50 or 60 a block holds several interleaved windows, each of every second
frame, so that a window still spans about 0.6 s and its frames lie about 1/25 to 1/30 s apart.

The plan depends on the frames only: a run that is resumed in the middle plans the same blocks.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from latentsync_core.models.unet_config import UNetConfig


@dataclass(frozen=True)
class FrameState:
    """What planning needs to know of one result frame, in order.

    Attributes:
        index: number of the result frame.
        shot: number of the shot it shows; None = no usable face, or no sound: it passes through.
        follows: whether it shows the moment after, before, or at that of the frame before it (False at a loop's jump).
    """

    index: int
    shot: int | None
    follows: bool


@dataclass(frozen=True)
class Block:
    """Result frames that are worked on together.

    Attributes:
        frames: numbers of the result frames.
        lead: so many first frames are shared with the block before.
        tail: so many last frames are shared with the block after.
        shot: number of the shot; None = these frames pass through.
    """

    frames: range
    lead: int = 0
    tail: int = 0
    shot: int | None = None

    @property
    def finished(self) -> range:
        """The frames that are final once this block is done."""
        return self.frames[: len(self.frames) - self.tail]

    def windows(self, num_phases: int) -> list[range]:
        """Give the positions inside the block of each window's frames."""
        return [range(phase, len(self.frames), num_phases) for phase in range(min(num_phases, len(self.frames)))]


def phases_of(fps: Fraction, model_fps: float) -> int:
    """Give how many interleaved windows keep the frames of each about 1/model_fps apart: 1 at 24-30, 2 at 50-60."""
    return max(1, round(float(fps) / model_fps))


def overlap_of(unet: UNetConfig, window_overlap: int) -> int:
    """Give how many frames successive windows of a network share: none if its frames do not see each other."""
    frames_interact = unet.use_motion_module or not unet.use_inflated_groupnorm
    return window_overlap if frames_interact else 0


def plan_blocks(states: Iterable[FrameState], window_frames: int, overlap: int, num_phases: int) -> Iterator[Block]:
    """Divide the result into blocks, as its frames become known.

    Args:
        states: one per result frame, in order.
        window_frames: frames of one window.
        overlap: frames of a window shared with the next window.
        num_phases: interleaved windows per block.
    """
    length, shared = window_frames * num_phases, overlap * num_phases
    start = stop = 0
    shot: int | None = None
    lead = 0
    for state in states:
        if stop > start and (state.shot != shot or (state.shot is not None and not state.follows)):
            yield Block(range(start, stop), lead, 0, shot)
            start, lead = stop, 0
        elif stop - start == length:
            tail = shared if shot is not None else 0
            yield Block(range(start, stop), lead, tail, shot)
            start, lead = stop - tail, tail
        shot = state.shot
        stop = state.index + 1
    if stop > start:
        yield Block(range(start, stop), lead, 0, shot)
