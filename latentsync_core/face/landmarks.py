"""What is known of one face in one frame, and the interface of the detectors that find it.

The alignment of LatentSync (arXiv:2412.09262, section 3) needs three anchors only: the centres of both
brows and of the nose. Whatever else is kept here serves to judge whether a face can be used.
"""

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
UInt8Image = NDArray[np.uint8]

MIN_FACE_HEIGHT = 48.0  # px; below it there is nothing for a 256 px crop to say
MAX_YAW = 60.0  # degrees; beyond it one half of the mouth is hidden
MIN_VISIBLE_FRACTION = 0.5  # of the box's area


@dataclass(frozen=True, eq=False)
class FaceLandmarks:
    """One face in one frame.

    Attributes:
        anchors: (3, 2) float64 frame pixels (x, y), a pixel's centre being a whole number:
            left brow, right brow, nose. "Left" is left in the picture.
        box: (x0, y0, x1, y1) frame pixels around all landmarks, forehead to chin; may leave the frame.
        mouth_opening: distance of the inner lips over the height of the face, 0 when closed.
        confidence: the detector's score, 0..1.
        yaw: degrees, 0 = frontal, positive = the face turns to the right of the picture.
        sharpness: standard deviation of the Laplacian inside the face at a fixed size, grey levels;
            comparable between frames of one shot only. 0 when unknown.
        head: (P, 2) float32 frame pixels of the points that head_pose.py turns heads by; None if the detector has no
            mesh.
    """

    anchors: FloatArray
    box: tuple[float, float, float, float]
    mouth_opening: float
    confidence: float
    yaw: float
    sharpness: float = 0.0
    head: NDArray[np.float32] | None = None

    @property
    def centre(self) -> tuple[float, float]:
        """Centre of the box, frame pixels (x, y)."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2

    @property
    def width(self) -> float:
        """Width of the box, pixels."""
        return self.box[2] - self.box[0]

    @property
    def height(self) -> float:
        """Height of the box, pixels."""
        return self.box[3] - self.box[1]


class FaceDetector(Protocol):
    """Finds faces in single frames; a result depends on nothing but its frame."""

    def detect(self, frame: UInt8Image) -> list[FaceLandmarks]:
        """Find all faces of a frame (H, W, 3) uint8 RGB, in no particular order."""
        ...

    def close(self) -> None:
        """Free what the detector holds."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def box_iou(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    """Give the intersection of two boxes (x0, y0, x1, y1) over their union, 0..1."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def is_usable(
    face: FaceLandmarks,
    frame_size: tuple[int, int],
    *,
    min_height: float = MIN_FACE_HEIGHT,
    max_yaw: float = MAX_YAW,
    min_visible: float = MIN_VISIBLE_FRACTION,
) -> bool:
    """Say whether a face can be lip-synced: large enough, not in profile, mostly inside the frame.

    Args:
        face: the face.
        frame_size: (width, height) of the frame, pixels.
        min_height: least height of the box, pixels.
        max_yaw: largest turn to either side, degrees.
        min_visible: least part of the box's area that lies inside the frame.
    """
    x0, y0, x1, y1 = face.box
    if not np.isfinite(face.anchors).all() or x1 <= x0 or y1 <= y0:
        return False
    inside = max(0.0, min(x1, frame_size[0]) - max(x0, 0.0)) * max(0.0, min(y1, frame_size[1]) - max(y0, 0.0))
    return face.height >= min_height and abs(face.yaw) <= max_yaw and inside >= min_visible * face.width * face.height
