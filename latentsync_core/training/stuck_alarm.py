"""The alarm for a SyncNet that does not learn: its loss stays at ln 2 (arXiv:2412.09262, section 4.3).

A network that says one half to everything has the loss 0.693. The report of LatentSync finds the causes: a batch too
small, too many frames, too small or too wide an embedding, faces not aligned, sound not shifted into sync.
"""

import math
from collections.abc import Sequence

CHANCE_LOSS = math.log(2)
CHANCE_ACCURACY = 0.5
BAND = 0.01  # what a mean of chance losses departs from ln 2


def stuck_since(points: Sequence[tuple[int, float]]) -> int | None:
    """The first step of the stretch at the curve's end in which the loss stays at chance; None if it does not.

    Args:
        points: (step, mean training loss), increasing.
    """
    since = None
    for step, loss in reversed(points):
        if abs(loss - CHANCE_LOSS) > BAND:
            break
        since = step
    return since


def likely_causes(
    *, batch_size: int, num_frames: int, embedding_dim: int, learning_rate: float, min_shift: int, people: int
) -> list[str]:
    """What to look at, the likeliest first.

    Args:
        batch_size: windows per optimiser step.
        num_frames: of a window.
        embedding_dim: of the network.
        learning_rate: its peak.
        min_shift: frames between a window and its wrong sound, at least.
        people: in the training data.
    """
    causes = []
    if batch_size < 256:
        causes.append(f"the batch: {batch_size} windows a step; the paper's 128 never left 0.69, 1024 did best")
    if num_frames > 16:
        causes.append(f"the window: {num_frames} frames; the paper's 25 stayed at 0.69 for long, 16 did best")
    causes.append("the sound: an offset between sound and lips; `prepare` shifts it to 0, after the faces are aligned")
    causes.append("the faces: not upright by the affine transform, or the mouth is not in the lower half")
    if embedding_dim < 1024 or embedding_dim > 2048:
        causes.append(f"the embedding: {embedding_dim} wide; the paper's best is 2048, 512 and 4096 did worse")
    if min_shift < 3:
        causes.append(f"the negatives: sounds {min_shift} frame(s) away are hardly wrong; raise min_negative_shift")
    causes.append(f"the learning rate: {learning_rate:g} at its peak; try a third of it, and three times as much")
    causes.append(f"the data: {people} people; voices and faces of few are learnt by heart before lips are")
    return causes
