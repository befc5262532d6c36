"""The reference frame: what a person looks like, for models that take one frame of a shot as the reference of many.

With each frame as its own reference a small model copies the old mouth; with one fixed frame it cannot. That frame
should show what the model cannot guess: the person as turned as in the frames to be made, the teeth (mouth rather open
than closed, but not at its widest, and no broad smile: it would have to be painted over), without motion blur.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from latentsync_core.face.landmarks import FaceLandmarks, FloatArray
from latentsync_core.face.tracking import FaceFrame

OPENING_RANK: Final = 0.6  # of the mouth openings among the candidates; 0 = the most closed, 1 = the widest
WIDE_OPENING: Final = 0.05  # of the face's height; in 80 % of the training clips that rank's opening is below it
WIDE_COST: Final = 10.0  # per opening beyond: one twice as wide costs as much as half of all ranks
YAW_STEP: Final = 15.0  # degrees between the head poses that have a reference frame of their own
NEAR_YAW: Final = 10.0  # degrees that count as the pose asked for
YAW_COST: Final = 1.0 / 30.0  # per degree beyond: 30 degrees cost as much as the worst mouth
BLUR_COST: Final = 0.3  # of the least sharp candidate
BRIDGED_COST: Final = 10.0  # of a face that was not detected but bridged


def nearest_pose(yaws: Sequence[float]) -> float:
    """Give the pose, a multiple of YAW_STEP, that a reference frame should show for faces of these yaws in degrees."""
    return YAW_STEP * round(float(np.median(yaws)) / YAW_STEP)


def choose_anchor(frames: Sequence[FaceFrame], yaw: float = 0.0) -> int:
    """Choose the reference frame of a shot.

    Args:
        frames: the shot's first seconds; frames without a face are passed over.
        yaw: how far the face should be turned, degrees.

    Returns:
        The chosen frame's `index`; the earliest of equals.

    Raises:
        ValueError: if no frame shows a face.
    """
    candidates = [(frame.index, frame.landmarks) for frame in frames if frame.landmarks is not None]
    if not candidates:
        raise ValueError(f"none of the {len(frames)} frames shows a face: there is no reference to choose")
    faces = [face for _, face in candidates]
    openings = [face.mouth_opening for face in faces]
    mouth = np.abs(_ranks(openings) - OPENING_RANK) + WIDE_COST * np.maximum(0.0, np.array(openings) - WIDE_OPENING)
    sharpness = _ranks([face.sharpness for face in faces])
    cost = mouth + BLUR_COST * (1.0 - sharpness) + [_pose_cost(face, yaw) for face in faces]
    return candidates[int(np.argmin(cost))][0]


def _pose_cost(face: FaceLandmarks, yaw: float) -> float:
    turned = YAW_COST * max(0.0, abs(face.yaw - yaw) - NEAR_YAW)
    return turned + (BRIDGED_COST if face.confidence == 0 else 0.0)


def _ranks(values: Sequence[float]) -> FloatArray:
    """Give each value's rank, 0 = the smallest .. 1 = the largest; equal values share their mean rank."""
    array = np.asarray(values)
    below = (array[:, None] > array[None, :]).sum(axis=1)
    equal = (array[:, None] == array[None, :]).sum(axis=1) - 1
    return np.asarray((below + 0.5 * equal) / max(1, len(array) - 1), dtype=np.float64)
