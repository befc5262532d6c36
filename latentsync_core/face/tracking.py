"""Tracking: one face followed through a video, shot by shot, in one pass and constant memory.

Frames come one at a time and are not kept. Each is looked at once: is it a cut, which faces does it show, which
tracks are they. The first seconds of a shot decide which track is lip-synced; from then on frames leave a few
frames after they came, when nothing that comes later can change their smoothed anchors.
What comes out depends on the frames only, never on when they were pushed.
"""

from dataclasses import dataclass

from latentsync_core.face.alignment import fit_similarity
from latentsync_core.face.face_tracks import FaceChoice, FaceTracks, TrackedFace, choose_track
from latentsync_core.face.landmarks import (
    MAX_YAW,
    MIN_FACE_HEIGHT,
    FaceDetector,
    FaceLandmarks,
    FloatArray,
    UInt8Image,
    is_usable,
)
from latentsync_core.face.shots import ShotCuts
from latentsync_core.face.smoothing import RADIUS, bridge_gaps, smooth_at

LOOKAHEAD_SECONDS = 10.0
BRIDGED_SECONDS = 0.2  # 5 frames at 25 fps: a blink of the detector, not an absence
LOST_SECONDS = 1.0  # without a detection for so long, a track has ended
# A face that was usable in the last frame stays so a little beyond the limits: no flicker around them.
KEPT_YAW = MAX_YAW + 8.0
KEPT_FACE_HEIGHT = 0.9 * MIN_FACE_HEIGHT


@dataclass(frozen=True, eq=False)
class FaceFrame:
    """What the tracker says of one frame.

    Attributes:
        index: number of the frame, from 0.
        shot: number of the shot, from 0; it also moves on when another person is followed within one.
        matrix: (2, 3) float64 from frame pixels to the canvas of alignment.py; None = let the frame pass through.
        landmarks: the face, its anchors smoothed; confidence 0 = bridged between two detections. None without a face.
    """

    index: int
    shot: int
    matrix: FloatArray | None = None
    landmarks: FaceLandmarks | None = None

    @property
    def mouth_opening(self) -> float | None:
        """Distance of the inner lips over the height of the face; None without a face."""
        return self.landmarks.mouth_opening if self.landmarks else None


class FaceTracker:
    """Follows one face through a stream of frames; holds a few seconds of landmarks, never a frame."""

    def __init__(
        self,
        detector: FaceDetector,
        fps: float,
        choice: FaceChoice = None,
        *,
        lookahead_seconds: float = LOOKAHEAD_SECONDS,
    ) -> None:
        """Start before the first frame.

        Args:
            detector: finds faces in one frame; it stays the caller's to close.
            fps: frames per second of the stream, which turns the times above into frames.
            choice: None = the largest track of each shot; an index from the left (0 = leftmost) or a
                point (x, y) on the video's first frame with a usable face.
            lookahead_seconds: how much of a shot the choice of the largest track is made on.
        """
        if not fps > 0:
            raise ValueError(f"fps must be positive, got {fps}")
        self._detector = detector
        self._choice = choice
        self._lookahead = max(1, round(lookahead_seconds * fps))
        self._longest_bridge = round(BRIDGED_SECONDS * fps)
        self._lost_after = max(1, round(LOST_SECONDS * fps))
        self._delay = RADIUS + self._longest_bridge + 1  # frames after which nothing can change a frame's anchors

        self._cuts = ShotCuts()
        self._tracks = FaceTracks(self._lost_after)
        self._usable_tracks: set[int] = set()
        self._frames_seen = 0
        self._shot = 0
        self._undecided: list[list[TrackedFace]] = []
        self._chosen: int | None = None
        self._chosen_unseen: int | None = (
            None  # frames since the chosen track was seen, None = not yet since the choice
        )
        self._last_chosen: FaceLandmarks | None = None
        # Decided frames: some that have left (what smoothing looks back on), then those still to leave.
        self._decided: list[tuple[int, FaceLandmarks | None]] = []  # (shot, face)
        self._decided_left = 0
        self._next_index = 0

    @property
    def frames_seen(self) -> int:
        """Frames pushed so far."""
        return self._frames_seen

    def push(self, frame: UInt8Image) -> list[FaceFrame]:
        """Look at the next frame.

        Args:
            frame: (H, W, 3) uint8 RGB; not kept.

        Returns:
            The frames that are now finished, in order; often none, after a shot's first seconds many.

        Raises:
            BadOption: if the chosen index does not exist on the first frame with a usable face.
        """
        finished = self._end_shot() if self._cuts.starts_shot(frame) else []
        tracked = self._look(frame)
        self._frames_seen += 1
        self._take(tracked)
        return finished + self._leave(self._delay)

    def finish(self) -> list[FaceFrame]:
        """Give the frames that are left, in order, after the last push.

        Raises:
            BadOption: as `push`.
        """
        return self._end_shot()

    def _look(self, frame: UInt8Image) -> list[TrackedFace]:
        size = (frame.shape[1], frame.shape[0])
        tracked = []
        for track, face in self._tracks.join(self._frames_seen, self._detector.detect(frame)):
            if track in self._usable_tracks:
                usable = is_usable(face, size, max_yaw=KEPT_YAW, min_height=KEPT_FACE_HEIGHT)
            else:
                usable = is_usable(face, size)
            tracked.append(TrackedFace(track, face, usable))
        self._usable_tracks = {face.track for face in tracked if face.usable}
        return tracked

    def _take(self, tracked: list[TrackedFace]) -> None:
        """Add one frame's faces: to the undecided ones before the choice, else follow the chosen track."""
        if self._chosen is not None:
            self._follow(tracked)
            return
        if not self._undecided and not any(face.usable for face in tracked):
            self._decided.append((self._shot, None))  # nothing to choose from yet
            return
        self._undecided.append(tracked)
        if len(self._undecided) >= self._lookahead:
            self._decide()

    def _decide(self) -> None:
        waiting, self._undecided = self._undecided, []
        self._chosen = choose_track(waiting, self._choice, self._last_chosen)
        self._chosen_unseen = None
        for tracked in waiting:
            self._take(tracked)

    def _follow(self, tracked: list[TrackedFace]) -> None:
        chosen = next((face for face in tracked if face.track == self._chosen), None)
        if chosen is not None:
            self._chosen_unseen = 0
            if chosen.usable:
                self._last_chosen = chosen.face
        elif self._chosen_unseen is not None:
            self._chosen_unseen += 1
            if self._chosen_unseen > self._lost_after:
                self._start_shot()
                self._take(tracked)
                return
        self._decided.append((self._shot, chosen.face if chosen is not None and chosen.usable else None))

    def _start_shot(self) -> None:
        self._shot += 1
        self._chosen = None

    def _end_shot(self) -> list[FaceFrame]:
        while self._undecided:
            self._decide()
        finished = self._leave(0)
        self._decided.clear()
        self._decided_left = 0
        self._tracks.forget()
        self._usable_tracks.clear()
        self._start_shot()
        return finished

    def _leave(self, delay: int) -> list[FaceFrame]:
        """Let all decided frames leave but the last `delay` ones."""
        finished = []
        while len(self._decided) - self._decided_left > delay:
            position = self._decided_left
            start = max(0, position - self._delay)
            window = self._decided[start : position + self._delay + 1]
            faces = bridge_gaps([face for _, face in window], self._longest_bridge)
            face = smooth_at(faces, position - start)
            matrix = fit_similarity(face.anchors) if face else None
            finished.append(FaceFrame(self._next_index, window[position - start][0], matrix, face))
            self._next_index += 1
            self._decided_left += 1
        surplus = self._decided_left - self._delay
        if surplus > 0:
            del self._decided[:surplus]
            self._decided_left -= surplus
        return finished
