"""The mediapipe backend on real pictures (the astronaut that scikit-image ships, public domain)."""

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest
from skimage.data import astronaut, coffee

from latentsync_core.face.alignment import crop_face
from latentsync_core.face.detectors import make_face_detector
from latentsync_core.face.landmarks import is_usable
from latentsync_core.face.mediapipe_backend import MediapipeBackend, describe
from latentsync_core.face.tracking import FaceTracker


@pytest.fixture(scope="module")
def detector() -> Iterator[MediapipeBackend]:
    with MediapipeBackend() as detector:
        yield detector


def portrait(width: int, height: int, face_height: float, x: float, y: float) -> np.ndarray:
    """Put the astronaut's face (96 px high in the picture) at (x, y) of a blurred, larger frame."""
    scale = face_height / 96
    frame = cv2.resize(coffee(), (width, height), interpolation=cv2.INTER_AREA)
    matrix = np.array([[scale, 0, x - 223 * scale], [0, scale, y - 113 * scale]])
    return cv2.warpAffine(
        astronaut(), matrix, (width, height), dst=frame, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_TRANSPARENT
    )


def test_the_anchors_lie_on_brows_and_nose(detector):
    (face,) = detector.detect(astronaut())
    np.testing.assert_allclose(face.anchors, [[198.6, 87.6], [252.4, 89.9], [222.9, 124.2]], atol=3)
    assert face.box[0] < 198 < 253 < face.box[2]
    assert abs(face.yaw) < 25
    assert 0 <= face.mouth_opening < 0.2
    assert face.confidence > 0.5
    assert is_usable(face, (512, 512))


def test_a_picture_without_a_face_gives_none(detector):
    assert detector.detect(coffee()) == []
    assert detector.detect(np.zeros((240, 320, 3), dtype=np.uint8)) == []


def test_what_was_seen_before_changes_nothing(detector):
    """mediapipe's own face mesh follows faces from call to call; this backend has no memory."""
    first = detector.detect(astronaut())[0].anchors
    detector.detect(np.roll(astronaut(), 60, axis=1))
    detector.detect(coffee())
    np.testing.assert_array_equal(detector.detect(astronaut())[0].anchors, first)
    with make_face_detector("mediapipe") as another:
        np.testing.assert_array_equal(another.detect(astronaut())[0].anchors, first)


@pytest.mark.parametrize(("width", "height"), [(1080, 1920), (1920, 1080), (640, 480), (101, 77)])
def test_faces_are_found_small_and_large_in_frames_of_any_shape(detector, width, height):
    face_height = 0.12 * height if height > 480 else 0.8 * height
    faces = detector.detect(portrait(width, height, face_height, width / 2, height / 2))
    assert len(faces) == 1
    assert abs(faces[0].centre[0] - width / 2) < 0.25 * face_height
    assert abs(faces[0].height - face_height) < 0.35 * face_height


def test_the_anchors_move_with_the_picture_to_within_a_percent_of_the_face(detector):
    still = detector.detect(portrait(1280, 720, 240, 500, 300))[0].anchors
    for dx, dy in [(1, 0), (37, -11), (200, 90)]:
        moved = detector.detect(portrait(1280, 720, 240, 500 + dx, 300 + dy))[0].anchors
        np.testing.assert_allclose(moved - [dx, dy], still, atol=0.012 * 240)


@pytest.mark.parametrize("angle", [-40, -20, 20, 40])
def test_the_yaw_is_the_angle_by_which_a_face_turns_to_the_right_of_the_picture(detector, angle):
    """The mesh of a real, nearly frontal face, turned around its upright axis."""
    mesh = detector.detect_meshes(astronaut())[0]
    start = describe(mesh).yaw
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    points = mesh.points - mesh.points.mean(axis=0)  # x to the right, z away from the camera
    turned = np.stack(
        [cosine * points[:, 0] - sine * points[:, 2], points[:, 1], sine * points[:, 0] + cosine * points[:, 2]], axis=1
    )
    nose, cheeks = turned[1, 0], turned[[234, 454], 0].mean()
    assert np.sign(nose - cheeks) == np.sign(angle)  # the nose points to where the face turns
    assert describe(replace(mesh, points=turned)).yaw == pytest.approx(start + angle, abs=3)


def test_two_people_are_two_faces(detector):
    pair = np.concatenate([astronaut(), np.ascontiguousarray(astronaut()[:, ::-1])], axis=1)
    faces = sorted(detector.detect(pair), key=lambda face: face.centre[0])
    assert len(faces) == 2
    assert faces[0].centre[0] < 512 < faces[1].centre[0]


def test_blur_shows_in_the_sharpness(detector):
    sharp = detector.detect(astronaut())[0].sharpness
    blurred = detector.detect(cv2.GaussianBlur(astronaut(), (0, 0), 2))[0].sharpness
    assert blurred < 0.7 * sharp


def test_one_video_gives_the_same_crops_twice_and_they_stand_still(detector):
    """A drifting face: tracked, smoothed and cropped, the crops show the same picture to within a few levels."""
    frames = [portrait(640, 480, 150, 250 + 2.3 * index, 230 + 0.7 * index) for index in range(16)]

    def crops() -> np.ndarray:
        tracker = FaceTracker(detector, 25.0)
        faces = [face for frame in frames for face in tracker.push(frame)] + tracker.finish()
        return np.stack([crop_face(frames[face.index], face.matrix) for face in faces]).astype(float)

    first = crops()
    np.testing.assert_array_equal(first, crops())
    assert np.abs(np.diff(first, axis=0)).mean() < 4
