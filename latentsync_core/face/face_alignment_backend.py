"""Faces by face-alignment (Bulat and Tzimiropoulos, arXiv:1703.07332): 68 points by a heat-map network.

The official models were trained on its points. Its weights (s3fd 90 MB, 2DFAN4 96 MB) come from the author's
site into torch's cache on first use; without a network they must lie there already.
"""

from math import atan, degrees
from types import TracebackType
from typing import Any, Final, Self

import cv2
import face_alignment
import numpy as np
import torch

from latentsync_core.errors import BadCheckpoint, BundleNotFound
from latentsync_core.face.landmarks import FaceLandmarks, FloatArray, UInt8Image
from latentsync_core.face.sampling import sample_affine
from latentsync_core.face.sharpness import measure_sharpness

# Of the 68 points: brows 17-21 and 22-26 (left and right in the picture), nose 27-35.
LEFT_BROW: Final = slice(17, 22)
RIGHT_BROW: Final = slice(22, 27)
NOSE: Final = slice(27, 36)
JAW_ENDS: Final = (0, 16)
NOSE_TIP: Final = 30
CHIN: Final = 8
BETWEEN_BROWS: Final = (21, 22)
INNER_LIPS: Final = (62, 66)

DETECTION_SIDE: Final = 640  # px
FOREHEAD_OVER_BROW: Final = 1.26  # forehead-chin over brow-chin, mean of six faces by mediapipe
NOSE_OVER_HALF_WIDTH: Final = 1.5  # how far the nose's tip stands before the line of the ears
SHARPNESS_SIDE: Final = 192  # px, as the other backend


class FaceAlignmentBackend:
    """Finds faces and their landmarks; stateless from frame to frame."""

    def __init__(self, device: str = "cpu") -> None:
        """Load the networks.

        Args:
            device: torch device.

        Raises:
            BundleNotFound: if the weights are not in the cache and cannot be downloaded.
            BadCheckpoint: if they are there but broken.
        """
        try:
            self._networks: Any = face_alignment.FaceAlignment(
                face_alignment.LandmarksType.TWO_D, device=device, flip_input=False, compile=False
            )
        except OSError as error:  # URLError is one
            raise BundleNotFound(
                f"The face-alignment weights are not in {torch.hub.get_dir()}/checkpoints and could not be downloaded "
                f"({error}). Put s3fd-619a316812.pth and 2DFAN4-11f355bf06.pth.tar there, or use the mediapipe backend."
            ) from error
        except RuntimeError as error:  # torch: truncated file, wrong keys, wrong checksum
            raise BadCheckpoint(
                f"The face-alignment weights in {torch.hub.get_dir()}/checkpoints cannot be read ({error}). "
                "Delete them, so that they are downloaded again, or use the mediapipe backend."
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the networks go; the backend cannot be used afterwards."""
        self._networks = None

    def detect(self, frame: UInt8Image) -> list[FaceLandmarks]:
        """Find all faces of a frame (H, W, 3) uint8 RGB."""
        scale = min(1.0, DETECTION_SIDE / max(frame.shape[:2]))
        size = (max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale)))
        small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA) if scale < 1 else frame
        boxes = [np.asarray(box, dtype=np.float64) for box in self._networks.face_detector.detect_from_image(small)]
        if not boxes:
            return []
        boxes = [np.concatenate([box[:4] / scale, box[4:]]) for box in boxes]
        points, _, _ = self._networks.get_landmarks_from_image(frame, detected_faces=boxes, return_landmark_score=True)
        return [
            describe(frame, np.asarray(face, dtype=np.float64), box) for face, box in zip(points, boxes, strict=True)
        ]


def describe(frame: UInt8Image, points: FloatArray, box: FloatArray) -> FaceLandmarks:
    """Reduce 68 points (68, 2) and a detector's box (x0, y0, x1, y1, score) to what tracking and alignment need."""
    brow = points[list(BETWEEN_BROWS)].mean(axis=0)
    height = FOREHEAD_OVER_BROW * float(np.linalg.norm(points[CHIN] - brow))
    left, right = points[list(JAW_ENDS)]
    across = right - left
    half_width = max(1e-6, float(np.linalg.norm(across)) / 2)
    nose_aside = float((points[NOSE_TIP] - (left + right) / 2) @ across) / (2 * half_width)
    x0, y0, x1, y1 = (float(value) for value in box[:4])
    return FaceLandmarks(
        anchors=np.stack([points[group].mean(axis=0) for group in (LEFT_BROW, RIGHT_BROW, NOSE)]),
        box=(x0, y0, x1, y1),
        mouth_opening=float(np.linalg.norm(points[INNER_LIPS[1]] - points[INNER_LIPS[0]])) / max(1e-6, height),
        confidence=float(box[4]) if len(box) > 4 else 1.0,
        yaw=degrees(atan(nose_aside / half_width / NOSE_OVER_HALF_WIDTH)),
        sharpness=_sharpness(frame, x0, y0, max(8.0, x1 - x0, y1 - y0)),
    )


def _sharpness(frame: UInt8Image, x: float, y: float, side: float) -> float:
    scale = SHARPNESS_SIDE / side
    to_crop = np.array([[scale, 0.0, -x * scale], [0.0, scale, -y * scale]])
    return measure_sharpness(sample_affine(frame, to_crop, (SHARPNESS_SIDE, SHARPNESS_SIDE)))
