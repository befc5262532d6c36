"""Smoothing of the anchors over time, inside one shot: short gaps are bridged, trembling is averaged.

The reference's "smoothing" (a bias of the nose added to the translation) is not used; see alignment.py.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from latentsync_core.face.landmarks import FaceLandmarks

SIGMA: Final = 1.0  # frames
RADIUS: Final = 3  # frames on each side that have a say


def bridge_gaps(faces: Sequence[FaceLandmarks | None], longest: int) -> list[FaceLandmarks | None]:
    """Fill gaps between two faces by straight lines.

    Args:
        faces: one entry per frame, None = no usable face.
        longest: the longest gap to fill, frames; longer ones stay.

    Returns:
        One entry per frame; filled ones have confidence 0.
    """
    filled = list(faces)
    last: int | None = None
    for index, face in enumerate(faces):
        if face is None:
            continue
        before = faces[last] if last is not None else None
        if last is not None and before is not None and 1 < index - last <= longest + 1:
            for between in range(last + 1, index):
                filled[between] = _between(before, face, (between - last) / (index - last))
        last = index
    return filled


def smooth_at(faces: Sequence[FaceLandmarks | None], index: int) -> FaceLandmarks | None:
    """Give one frame's face with its anchors and head points averaged over its neighbours in time.

    The window is symmetric: towards an end of the run of faces it narrows, so that steady motion is never dragged back.

    Args:
        faces: one entry per frame of a shot, gaps already bridged.
        index: which frame.
    """
    face = faces[index]
    if face is None:
        return None
    reach = 0
    while reach < RADIUS and _both_there(faces, index, reach + 1):
        reach += 1
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (offsets / SIGMA) ** 2)
    window = [near for near in faces[index - reach : index + reach + 1] if near is not None]
    heads = [near.head for near in window if near.head is not None]
    return replace(
        face,
        anchors=np.average([near.anchors for near in window], axis=0, weights=weights),
        head=np.average(heads, axis=0, weights=weights.astype(np.float32)) if len(heads) == len(window) else face.head,
    )


def _both_there(faces: Sequence[FaceLandmarks | None], index: int, distance: int) -> bool:
    before, after = index - distance, index + distance
    return before >= 0 and after < len(faces) and faces[before] is not None and faces[after] is not None


def _between(a: FaceLandmarks, b: FaceLandmarks, part: float) -> FaceLandmarks:
    def mix(x: float, y: float) -> float:
        return x + part * (y - x)

    return replace(
        a,
        anchors=a.anchors + part * (b.anchors - a.anchors),
        head=a.head + np.float32(part) * (b.head - a.head) if a.head is not None and b.head is not None else None,
        box=(mix(a.box[0], b.box[0]), mix(a.box[1], b.box[1]), mix(a.box[2], b.box[2]), mix(a.box[3], b.box[3])),
        mouth_opening=mix(a.mouth_opening, b.mouth_opening),
        confidence=0.0,
        yaw=mix(a.yaw, b.yaw),
        sharpness=mix(a.sharpness, b.sharpness),
    )
