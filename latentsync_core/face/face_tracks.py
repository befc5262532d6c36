"""Tracks: which detections are the same face, and which track is the one to lip-sync.

Faces are joined from frame to frame by overlap and distance of their boxes; between two frames a face moves by a
fraction of its size, and two faces are about one size apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from math import hypot

from latentsync_core.errors import BadOption
from latentsync_core.face.landmarks import FaceLandmarks, box_iou

FaceChoice = int | tuple[float, float] | None

MIN_OVERLAP = 0.3  # IoU that joins by itself
MAX_STEP = 0.6  # of the larger face's size, per join
MAX_SIZE_RATIO = 1.7


@dataclass(frozen=True)
class TrackedFace:
    """A detection and the track it belongs to.

    Attributes:
        track: number of the track, unique in a video.
        face: the detection.
        usable: whether it can be lip-synced (an unusable one still carries its track on).
    """

    track: int
    face: FaceLandmarks
    usable: bool


def likeness(a: FaceLandmarks, b: FaceLandmarks) -> float:
    """Say how plausible two boxes, a moment apart, are as one face: 0 = not at all, 1 = same place and size."""
    size_a, size_b = hypot(a.width, a.height), hypot(b.width, b.height)
    if min(size_a, size_b) <= 0 or max(size_a, size_b) > MAX_SIZE_RATIO * min(size_a, size_b):
        return 0.0
    step = hypot(a.centre[0] - b.centre[0], a.centre[1] - b.centre[1]) / max(size_a, size_b)
    if step > MAX_STEP and box_iou(a.box, b.box) < MIN_OVERLAP:
        return 0.0
    return min(size_a, size_b) / max(size_a, size_b) * max(0.01, 1.0 - step)


class FaceTracks:
    """Joins detections of successive frames into tracks; it remembers the last box of each living track."""

    def __init__(self, memory_frames: int) -> None:
        """Create it without tracks.

        Args:
            memory_frames: for how many frames a track lives on without a detection.
        """
        self._memory_frames = memory_frames
        self._numbers = count()
        self._last_seen: dict[int, tuple[int, FaceLandmarks]] = {}

    def join(self, index: int, faces: Sequence[FaceLandmarks]) -> list[tuple[int, FaceLandmarks]]:
        """Give each face of frame `index` its track's number, best matches first, left to right among new ones."""
        self._last_seen = {
            track: (seen, face)
            for track, (seen, face) in self._last_seen.items()
            if index - seen <= self._memory_frames
        }
        candidates = sorted(
            (
                (-likeness(last, face), track, position)
                for track, (_, last) in self._last_seen.items()
                for position, face in enumerate(faces)
            ),
        )
        track_of: dict[int, int] = {}
        for negative, track, position in candidates:
            if negative < 0 and position not in track_of and track not in track_of.values():
                track_of[position] = track
        joined = []
        for position in sorted(range(len(faces)), key=lambda position: faces[position].centre):
            track = track_of[position] if position in track_of else next(self._numbers)
            self._last_seen[track] = (index, faces[position])
            joined.append((track, faces[position]))
        return joined

    def forget(self) -> None:
        """End all tracks (a cut); numbers go on."""
        self._last_seen.clear()


def choose_track(
    frames: Sequence[Sequence[TrackedFace]], choice: FaceChoice, previous: FaceLandmarks | None
) -> int | None:
    """Choose the track to lip-sync from the first seconds of a shot.

    Args:
        frames: the tracked faces of each frame.
        choice: None = the largest track; an index from the left, or a point, on the first frame with a usable face.
            These apply to the video's first face; later shots keep to that person as far as place and size tell.
        previous: the chosen face when last seen, None if no face was chosen yet.

    Returns:
        The track's number; None if no face of these frames is usable.

    Raises:
        BadOption: if the index is larger than the number of faces on that frame.
    """
    usable = [[tracked for tracked in frame if tracked.usable] for frame in frames]
    first = next((frame for frame in usable if frame), None)
    if first is None:
        return None
    if choice is not None and previous is None:
        return _choose_on_frame(first, choice)
    if choice is not None and previous is not None:
        best = max(first, key=lambda tracked: likeness(previous, tracked.face))
        if likeness(previous, best.face) > 0:
            return best.track
    return _largest(usable)


def _choose_on_frame(faces: Sequence[TrackedFace], choice: int | tuple[float, float]) -> int:
    if isinstance(choice, int):
        if not 0 <= choice < len(faces):
            raise BadOption(f"face {choice} was asked for (0 = the leftmost), but the first frame shows {len(faces)}")
        return sorted(faces, key=lambda tracked: tracked.face.centre)[choice].track
    x, y = choice
    return min(faces, key=lambda tracked: hypot(tracked.face.centre[0] - x, tracked.face.centre[1] - y)).track


def _largest(frames: Sequence[Sequence[TrackedFace]]) -> int:
    """Give the track with the largest area, summed over the frames."""
    area: dict[int, float] = {}
    for frame in frames:
        for tracked in frame:
            area[tracked.track] = area.get(tracked.track, 0.0) + tracked.face.width * tracked.face.height
    return max(area, key=lambda track: (area[track], -track))
