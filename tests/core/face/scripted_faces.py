"""Scripted faces: landmarks without pictures, for the logic of tracking; no detector is involved."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from latentsync_core.face.alignment import TEMPLATE
from latentsync_core.face.landmarks import FaceLandmarks

FRAME_SIZE = (640, 360)  # (width, height)


def face_at(
    x: float,
    y: float = 150.0,
    height: float = 100.0,
    *,
    yaw: float = 0.0,
    opening: float = 0.05,
    sharpness: float = 10.0,
) -> FaceLandmarks:
    """Make an upright face around (x, y)."""
    width = 0.75 * height
    return FaceLandmarks(
        anchors=(TEMPLATE - TEMPLATE.mean(axis=0)) * (height / 250) + [x, y],
        box=(x - width / 2, y - height / 2, x + width / 2, y + height / 2),
        mouth_opening=opening,
        confidence=0.9,
        yaw=yaw,
        sharpness=sharpness,
    )


class ScriptedDetector:
    """Gives the faces of a script, frame by frame, whatever the frames show."""

    def __init__(self, script: Sequence[Sequence[FaceLandmarks]]) -> None:
        self._script = iter(script)

    def detect(self, frame: NDArray[np.uint8]) -> list[FaceLandmarks]:
        """Give the next frame's faces."""
        return list(next(self._script))

    def close(self) -> None:
        """Nothing to free."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


@lru_cache(maxsize=8)
def scene(number: int) -> NDArray[np.uint8]:
    """Draw a picture that has nothing in common with those of other numbers."""
    coarse = np.random.default_rng(number).integers(0, 256, (9, 16, 3), dtype=np.uint8)
    return coarse.repeat(40, axis=0).repeat(40, axis=1)
