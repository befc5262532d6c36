"""The face-alignment backend. Its weights cannot be had without a network, so its networks are stand-ins here,
except in the test marked `weights`."""

from urllib.error import URLError

import numpy as np
import pytest
from skimage.data import astronaut

from latentsync_core.errors import BadCheckpoint, BadOption, BundleNotFound
from latentsync_core.face.detectors import make_face_detector

pytest.importorskip("face_alignment")


def sixty_eight_points() -> np.ndarray:
    """A schematic frontal face of 68 points around (220, 120), 100 px high."""
    points = np.zeros((68, 2))
    turn = np.linspace(np.pi, 0, 17)
    points[0:17] = np.stack([220 + 40 * np.cos(turn), 110 + 60 * np.sin(turn)], axis=1)
    points[17:22] = np.stack([np.linspace(190, 212, 5), np.full(5, 95.0)], axis=1)
    points[22:27] = np.stack([np.linspace(228, 250, 5), np.full(5, 95.0)], axis=1)
    points[27:31] = np.stack([np.full(4, 220.0), np.linspace(103, 121, 4)], axis=1)
    points[31:36] = np.stack([np.linspace(212, 228, 5), np.full(5, 126.0)], axis=1)
    points[36:60] = [220, 120]
    points[60:68] = [220, 140]
    points[62], points[66] = (220, 138), (220, 146)
    return points


class StandInDetector:
    """Finds one face, at the same place of every picture."""

    def detect_from_image(self, image: np.ndarray) -> list[np.ndarray]:
        """Give the box, scaled with the picture's size (512 in the original)."""
        scale = image.shape[1] / 512
        return [np.array([180 * scale, 70 * scale, 260 * scale, 170 * scale, 0.97])]


class StandInNetworks:
    """Gives the schematic face for any box it is handed."""

    def __init__(self, *arguments: object, **options: object) -> None:
        self.face_detector = StandInDetector()

    def get_landmarks_from_image(self, image, detected_faces, return_landmark_score):
        """Give 68 points per box."""
        np.testing.assert_allclose(detected_faces[0][:4], [180, 70, 260, 170], atol=1.5)
        return [sixty_eight_points().astype(np.float32)], None, None


def test_with_stand_in_networks_the_68_points_become_the_three_anchors(monkeypatch):
    monkeypatch.setattr("face_alignment.FaceAlignment", StandInNetworks)
    with make_face_detector("face-alignment") as detector:
        (face,) = detector.detect(astronaut())
    points = sixty_eight_points()
    expected = [points[17:22].mean(axis=0), points[22:27].mean(axis=0), points[27:36].mean(axis=0)]
    np.testing.assert_allclose(face.anchors, expected, atol=1e-4)
    assert face.confidence == pytest.approx(0.97)
    assert face.yaw == pytest.approx(0, abs=1e-6)
    assert face.mouth_opening == pytest.approx(8 / (1.26 * 75), abs=1e-3)
    assert face.sharpness > 0


@pytest.mark.parametrize(
    ("failure", "error", "word"),
    [
        (URLError("no route to host"), BundleNotFound, "mediapipe"),
        (RuntimeError("PytorchStreamReader failed reading zip archive"), BadCheckpoint, "Delete"),
    ],
)
def test_weights_that_cannot_be_had_are_an_error_that_says_what_to_do(monkeypatch, failure, error, word):
    def fail(*arguments: object, **options: object) -> None:
        raise failure

    monkeypatch.setattr("face_alignment.FaceAlignment", fail)
    with pytest.raises(error, match=word):
        make_face_detector("face-alignment")


def test_an_unknown_detector_is_refused():
    with pytest.raises(BadOption, match="mediapipe"):
        make_face_detector("dlib")


@pytest.mark.weights
def test_both_backends_see_the_same_anchors():
    try:
        other = make_face_detector("face-alignment")
    except BundleNotFound as error:
        pytest.skip(str(error))
    with make_face_detector("mediapipe") as mediapipe, other:
        ours, theirs = mediapipe.detect(astronaut())[0], other.detect(astronaut())[0]
    np.testing.assert_allclose(ours.anchors, theirs.anchors, atol=0.08 * ours.height)
