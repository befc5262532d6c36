"""The face detectors by name."""

from latentsync_core.errors import BadOption
from latentsync_core.face.landmarks import FaceDetector


def make_face_detector(name: str, device: str = "cpu") -> FaceDetector:
    """Make a detector; close it, or use it in a `with` statement.

    Args:
        name: "mediapipe" or "face-alignment".
        device: torch device of "face-alignment"; "mediapipe" runs on the CPU.

    Raises:
        BadOption: for any other name.
        BundleNotFound: if face-alignment's weights are neither in its cache nor to be had.
    """
    if name == "mediapipe":
        from latentsync_core.face.mediapipe_backend import MediapipeBackend

        return MediapipeBackend()
    if name == "face-alignment":
        from latentsync_core.face.face_alignment_backend import FaceAlignmentBackend

        return FaceAlignmentBackend(device)
    raise BadOption(f"face_backend must be one of mediapipe, face-alignment, got {name!r}")
