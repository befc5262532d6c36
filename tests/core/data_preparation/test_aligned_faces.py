"""Looking for faces and judging what was seen."""

from dataclasses import replace

import numpy as np
import pytest

from latentsync_core.data_preparation.aligned_faces import FaceMeasures, fault_of, look_for_faces
from latentsync_core.face.mediapipe_backend import FaceMesh, MediapipeBackend

GOOD = FaceMeasures(face_px=100, yaw=5, faceless_share=0, several_share=0, still_share=0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"faceless_share": 0.31}, "no face"),
        ({"several_share": 0.11}, "several faces"),
        ({"still_share": 0.51}, "picture stands still"),
        ({"face_px": 47.0}, "face too small"),
    ],
)
def test_a_segment_that_does_not_show_one_clear_face_is_dropped(change, reason):
    assert fault_of(GOOD) is None
    fault = fault_of(replace(GOOD, **change))
    assert fault is not None
    assert fault.reason == reason


class FacesByBrightness(MediapipeBackend):
    """Finds as many faces as a frame is bright, each half as tall as the one before."""

    def __init__(self):
        self.looks = 0

    def detect_meshes(self, frame):
        self.looks += 1
        random = np.random.default_rng(0)
        unit = random.uniform(0, 1, (468, 3))
        return [FaceMesh(unit * 100 / 2**number, 0.9, 1.0) for number in range(int(frame[0, 0, 0]))]


def test_each_frame_is_looked_at_once_and_a_repeated_one_not_again():
    frames = [np.full((4, 4, 3), bright, np.uint8) for bright in (1, 1, 2, 0, 1)]
    detector = FacesByBrightness()
    meshes, measures = look_for_faces(frames, detector)
    assert detector.looks == 4
    assert meshes.shape == (5, 468, 2)
    assert np.isnan(meshes[3]).all()
    assert np.array_equal(meshes[0], meshes[1])
    assert (measures.faceless_share, measures.several_share, measures.still_share) == pytest.approx((0.2, 0.2, 0.2))
    assert measures.face_px == pytest.approx(100, abs=1)
