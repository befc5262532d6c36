"""Faces by mediapipe: needs no download, runs on the CPU.

mediapipe's own FaceMesh solution either follows faces from call to call (a hidden state) or looks for them afresh
in each image; then its landmarks jump by several pixels with the coarse box of its detector (7 px on a 225 px face).
Here the landmark network is run by itself, on a region drawn from the box first and then once more on the one
drawn from the landmarks just found. That is as steady as following, and a frame's result depends on that frame only.
"""

from dataclasses import dataclass
from math import atan2, cos, degrees, hypot, sin
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np
from google.protobuf import text_format  # type: ignore[import-untyped]
from mediapipe.framework import calculator_pb2
from mediapipe.framework.formats import rect_pb2
from mediapipe.python.solution_base import PacketDataType, SolutionBase
from mediapipe.python.solutions.face_detection import FaceDetection

from latentsync_core.face.head_pose import head_points
from latentsync_core.face.landmarks import FaceLandmarks, FloatArray, UInt8Image, box_iou
from latentsync_core.face.sampling import invert_affine, sample_affine
from latentsync_core.face.sharpness import measure_sharpness

# The mesh's points nearest to the 68-point brows (17-21, 22-26) and nose (27-35). Models are trained on crops
# made with exactly these.
LEFT_BROW = (70, 63, 105, 66, 107)
RIGHT_BROW = (300, 293, 334, 296, 336)
NOSE = (168, 197, 5, 4, 98, 97, 2, 326, 327)
INNER_LIPS = (13, 14)
FOREHEAD_AND_CHIN = (10, 152)
CHEEKS = (234, 454)  # left and right in the picture
OUTER_EYE_CORNERS = (33, 263)

DETECTION_SIDE = 384  # px; the detectors' own input is 192 (far) and 128 (near)
CROP_SIDE = 192  # px, the landmark network's input
REGION_SCALE = 1.5  # side of its region over the longer side of the face, as in mediapipe's graphs
# From a detector's box to the region that its face's landmarks give: scale, shift towards the chin (of the side).
# Medians over 200 frames of 56 videos.
FAR_FIT = (1.05, -0.013)
NEAR_FIT = (1.09, -0.043)
LOOKS = 2  # of the landmark network at a face; a third one moves the anchors by 0.2 % of the face's height
SAME_FACE_IOU = 0.4

_LANDMARK_GRAPH = """
input_stream: "image"
input_stream: "region"
output_stream: "landmarks"
node {
  calculator: "ConstantSidePacketCalculator"
  output_side_packet: "PACKET:with_attention"
  node_options: {
    [type.googleapis.com/mediapipe.ConstantSidePacketCalculatorOptions]: { packet { bool_value: false } }
  }
}
node {
  calculator: "FaceLandmarkCpu"
  input_stream: "IMAGE:image"
  input_stream: "ROI:region"
  input_side_packet: "WITH_ATTENTION:with_attention"
  output_stream: "LANDMARKS:landmarks"
}
"""


@dataclass(frozen=True, eq=False)
class FaceMesh:
    """All landmarks of one face.

    Attributes:
        points: (468, 3) float64 frame pixels x, y and, on the same scale, depth z (smaller is nearer).
        confidence: the detector's score, 0..1.
        sharpness: as in FaceLandmarks.
    """

    points: FloatArray
    confidence: float
    sharpness: float


@dataclass(frozen=True)
class _Region:
    """A turned square: centre (x, y) and side in pixels, angle in radians."""

    x: float
    y: float
    side: float
    angle: float

    def to_crop(self) -> FloatArray:
        """Map (2, 3) from frame pixels to the network's input."""
        scale = CROP_SIDE / self.side
        turn = scale * np.array([[cos(self.angle), sin(self.angle)], [-sin(self.angle), cos(self.angle)]])
        shift = (CROP_SIDE - 1) / 2 - turn @ np.array([self.x, self.y])
        return np.concatenate([turn, shift[:, None]], axis=1)


class MediapipeBackend:
    """Finds faces and their landmarks; stateless from frame to frame, to be used by one thread at a time."""

    def __init__(self, min_confidence: float = 0.5) -> None:
        graph = text_format.Parse(_LANDMARK_GRAPH, calculator_pb2.CalculatorGraphConfig())
        self._landmarks = SolutionBase(graph_config=graph, stream_type_hints={"region": PacketDataType.PROTO})
        self._whole_crop = rect_pb2.NormalizedRect(x_center=0.5, y_center=0.5, width=1.0, height=1.0, rotation=0.0)
        # Full range finds faces down to a few percent of the frame, short range those that nearly fill it.
        self._far = FaceDetection(min_detection_confidence=min_confidence, model_selection=1)
        self._near = FaceDetection(min_detection_confidence=min_confidence, model_selection=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the graphs; the backend cannot be used afterwards."""
        for graph in (self._landmarks, self._far, self._near):
            graph.close()

    def detect(self, frame: UInt8Image) -> list[FaceLandmarks]:
        """Find all faces of a frame (H, W, 3) uint8 RGB."""
        return [describe(mesh) for mesh in self.detect_meshes(frame)]

    def detect_meshes(self, frame: UInt8Image) -> list[FaceMesh]:
        """Find all faces of a frame (H, W, 3) uint8 RGB with all their landmarks, most confident first."""
        meshes: list[FaceMesh] = []
        for region, confidence in self._find_regions(frame):
            mesh = self._look_at(frame, region, confidence)
            if mesh and all(box_iou(_box(mesh.points), _box(other.points)) < SAME_FACE_IOU for other in meshes):
                meshes.append(mesh)
        return meshes

    def _find_regions(self, frame: UInt8Image) -> list[tuple[_Region, float]]:
        height, width = frame.shape[:2]
        scale = min(1.0, DETECTION_SIDE / max(height, width))
        small = frame
        if scale < 1:
            size = (max(1, round(width * scale)), max(1, round(height * scale)))
            small = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        small = np.ascontiguousarray(small)
        for detector, fit in ((self._far, FAR_FIT), (self._near, NEAR_FIT)):
            detections = detector.process(small).detections or []
            if detections:
                ordered = sorted(detections, key=_confidence_first)
                return [(_region_of_detection(found, width, height, fit), float(found.score[0])) for found in ordered]
        return []

    def _look_at(self, frame: UInt8Image, region: _Region, confidence: float) -> FaceMesh | None:
        mesh: FaceMesh | None = None
        for _ in range(LOOKS):
            crop = sample_affine(frame, region.to_crop(), (CROP_SIDE, CROP_SIDE))
            points = self._find_landmarks(crop, region)
            if points is None:
                return None
            mesh = FaceMesh(points, confidence, measure_sharpness(crop))
            region = _region_of_points(points)
        return mesh

    def _find_landmarks(self, crop: UInt8Image, region: _Region) -> FloatArray | None:
        found: Any = self._landmarks.process({"image": crop, "region": self._whole_crop})
        if found.landmarks is None:
            return None
        unit = np.array([(point.x, point.y, point.z) for point in found.landmarks.landmark])
        to_frame = invert_affine(region.to_crop())
        flat = (unit[:, :2] * CROP_SIDE - 0.5) @ to_frame[:, :2].T + to_frame[:, 2]
        return np.concatenate([flat, unit[:, 2:] * region.side], axis=1)


def describe(mesh: FaceMesh) -> FaceLandmarks:
    """Reduce a mesh to what tracking and alignment need."""
    points = mesh.points
    upper_lip, lower_lip = points[INNER_LIPS, :2]
    forehead, chin = points[FOREHEAD_AND_CHIN, :2]
    left, right = points[CHEEKS, :]
    return FaceLandmarks(
        anchors=anchors_of(points),
        box=_box(points),
        mouth_opening=float(np.linalg.norm(lower_lip - upper_lip)) / max(1e-6, float(np.linalg.norm(chin - forehead))),
        confidence=mesh.confidence,
        yaw=degrees(atan2(right[2] - left[2], hypot(right[0] - left[0], right[1] - left[1]))),
        sharpness=mesh.sharpness,
        head=head_points(points).astype(np.float32),
    )


def anchors_of(points: FloatArray) -> FloatArray:
    """Give the anchors (3, 2) of a mesh (468, 3): left brow, right brow, nose."""
    return np.stack([points[list(group), :2].mean(axis=0) for group in (LEFT_BROW, RIGHT_BROW, NOSE)])


def _box(points: FloatArray) -> tuple[float, float, float, float]:
    (x0, y0), (x1, y1) = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    return float(x0), float(y0), float(x1), float(y1)


def _region_of_detection(detection: Any, width: int, height: int, fit: tuple[float, float]) -> _Region:
    box = detection.location_data.relative_bounding_box
    right_eye, left_eye = detection.location_data.relative_keypoints[:2]  # of the person: left in the picture first
    side = max(8.0, REGION_SCALE * max(box.width * width, box.height * height))
    angle = atan2((left_eye.y - right_eye.y) * height, (left_eye.x - right_eye.x) * width)
    scale, down = fit
    return _Region(
        x=(box.xmin + box.width / 2) * width - 0.5 - sin(angle) * down * side,
        y=(box.ymin + box.height / 2) * height - 0.5 + cos(angle) * down * side,
        side=scale * side,
        angle=angle,
    )


def _region_of_points(points: FloatArray) -> _Region:
    x0, y0, x1, y1 = _box(points)
    left, right = points[OUTER_EYE_CORNERS, :2]
    return _Region(
        x=(x0 + x1) / 2,
        y=(y0 + y1) / 2,
        side=max(8.0, REGION_SCALE * max(x1 - x0, y1 - y0)),
        angle=atan2(right[1] - left[1], right[0] - left[0]),
    )


def _confidence_first(detection: Any) -> float:
    return -float(detection.score[0])
