"""The reference frame: what a person looks like, for models that take one frame of a shot as the reference of many.

With each frame as its own reference a small model copies the old mouth; with one fixed frame it cannot. That frame
should show what the model cannot guess: the person as turned as in the frames to be made, the teeth (mouth rather open
than closed, but not at its widest, and no broad smile: it would have to be painted over), without motion blur.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, TypeVar

import numpy as np

from latentsync_core.face.head_pose import MOUTH_CORNERS, POSE_POINTS
from latentsync_core.face.landmarks import FaceLandmarks, FloatArray
from latentsync_core.face.tracking import FaceFrame

Item = TypeVar("Item")

OPENING_RANK: Final = 0.6  # of the mouth openings among the candidates; 0 = the most closed, 1 = the widest
WIDE_OPENING: Final = 0.05  # of the face's height; in 80 % of the training clips that rank's opening is below it
WIDE_COST: Final = 10.0  # per opening beyond: one twice as wide costs as much as half of all ranks
YAW_STEP: Final = 15.0  # degrees between the head poses that have a reference frame of their own
NEAR_YAW: Final = 10.0  # degrees that count as the pose asked for
YAW_COST: Final = 1.0 / 30.0  # per degree beyond: 30 degrees cost as much as the worst mouth
BLUR_COST: Final = 0.3  # of the least sharp candidate
MOUTH_OPENINGS: Final = 12  # sorts of mouths of which the shot's frames are kept
MOUTH_WIDTHS: Final = 3  # sorts within each of those
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


def choose_mouths(frames: Sequence[FaceFrame], yaw: float = 0.0) -> list[int]:
    """Choose frames that show how differently the mouth stands in a shot: of every sort of mouth the sharpest.

    Args:
        frames: the shot's first seconds; those without a detected face, or turned otherwise, are passed over.
        yaw: how far the face should be turned, degrees.

    Returns:
        The chosen frames' `index`, rising; none if no frame will do.
    """
    usable = [
        (frame.index, face)
        for frame in frames
        if (face := frame.landmarks) is not None and face.confidence > 0 and abs(face.yaw - yaw) <= YAW_STEP
    ]
    usable.sort(key=lambda each: each[1].mouth_opening)
    chosen = []
    for alike in _divide(usable, MOUTH_OPENINGS):
        for same in _divide(sorted(alike, key=lambda each: _mouth_width(each[1])), MOUTH_WIDTHS):
            chosen.append(max(same, key=lambda each: each[1].sharpness)[0])
    return sorted(chosen)


def _divide(items: list[Item], parts: int) -> list[list[Item]]:
    """Cut a list into so many parts of about the same length; fewer items make fewer parts."""
    bounds = np.linspace(0, len(items), min(parts, len(items)) + 1).round().astype(int)
    return [items[first:last] for first, last in pairwise(bounds)]


def _mouth_width(face: FaceLandmarks) -> float:
    """Distance of the mouth's corners, pixels of the frame; 0 if the detector has no mesh."""
    if face.head is None:
        return 0.0
    left, right = (face.head[POSE_POINTS.index(corner)] for corner in MOUTH_CORNERS)
    return float(np.linalg.norm(left - right))


def _pose_cost(face: FaceLandmarks, yaw: float) -> float:
    turned = YAW_COST * max(0.0, abs(face.yaw - yaw) - NEAR_YAW)
    return turned + (BRIDGED_COST if face.confidence == 0 else 0.0)


def _ranks(values: Sequence[float]) -> FloatArray:
    """Give each value's rank, 0 = the smallest .. 1 = the largest; equal values share their mean rank."""
    array = np.asarray(values)
    below = (array[:, None] > array[None, :]).sum(axis=1)
    equal = (array[:, None] == array[None, :]).sum(axis=1) - 1
    return np.asarray((below + 0.5 * equal) / max(1, len(array) - 1), dtype=np.float64)
