"""Where the face is in every source frame: a thread that decodes, detects and tracks ahead of the rest.

It keeps a few hundred bytes per frame and never a picture. What comes out depends on the frames only, not on how far
ahead the thread happens to be.
"""

import threading
from collections.abc import Callable

from latentsync_core.background_thread import BackgroundThread
from latentsync_core.face.detectors import make_face_detector
from latentsync_core.face.reference import choose_anchor, choose_mouths
from latentsync_core.face.tracking import FaceFrame, FaceTracker
from latentsync_core.media.frame_grid import FrameGrid
from latentsync_core.media.probe import MediaInfo
from latentsync_core.media.video_reader import VideoReader
from latentsync_core.options import LipSyncOptions
from latentsync_core.stage_clock import StageClock
from latentsync_core.streaming import POLL_SECONDS, Stopped

ANCHOR_SECONDS = 10.0  # of a shot, from its first face on, among which its reference frames are chosen


class FaceAnalysis(BackgroundThread):
    """Follows the face through source frames 0..num_frames-1 in a thread; any thread may ask for results.

    Args:
        info: the source.
        grid: its frames.
        num_frames: so many source frames are looked at.
        options: which face, which detector.
        clock: counts the seconds of detection.
    """

    def __init__(
        self, info: MediaInfo, grid: FrameGrid, num_frames: int, options: LipSyncOptions, clock: StageClock
    ) -> None:
        super().__init__("face-analysis")
        self._info, self._grid, self._num_frames, self._options = info, grid, num_frames, options
        self._clock = clock
        self._faces: list[FaceFrame] = []
        self._first_of_shot: dict[int, int] = {}
        self._error: BaseException | None = None
        self._is_over = False
        self._changed = threading.Condition()
        self.frames_seen = 0
        self.num_held = 0

    @property
    def has_face(self) -> bool:
        """Whether any frame so far shows a usable face."""
        return bool(self._first_of_shot)

    @property
    def num_shots(self) -> int:
        """Shots so far."""
        return self._faces[-1].shot + 1 if self._faces else 0

    def face_in(self, frame: int) -> FaceFrame:
        """Give what is known of a source frame, waiting for it.

        Raises:
            Stopped: if the analysis is stopped meanwhile; or whatever ended it.
        """
        self._wait_for(lambda: len(self._faces) > frame)
        return self._faces[frame]

    def anchor_of(self, shot: int, yaw: float) -> int:
        """Give the source frame that serves as the reference of a shot, waiting until it can be chosen.

        Args:
            shot: number of the shot.
            yaw: how far the face should be turned, degrees.

        Raises:
            Stopped: if the analysis is stopped meanwhile; or whatever ended it.
        """
        return choose_anchor(self._first_seconds(shot), yaw)

    def mouths_of(self, shot: int, yaw: float) -> list[int]:
        """Give the source frames that show a shot's different mouths, rising; waits and raises as `anchor_of`."""
        return choose_mouths(self._first_seconds(shot), yaw)

    def _first_seconds(self, shot: int) -> list[FaceFrame]:
        self._wait_for(lambda: shot in self._first_of_shot)
        first = self._first_of_shot[shot]
        last = first + round(ANCHOR_SECONDS * self._grid.fps)
        self._wait_for(lambda: self._is_over or len(self._faces) > last or self._faces[-1].shot > shot)
        return [face for face in self._faces[first:last] if face.shot == shot]

    def _wait_for(self, is_known: Callable[[], bool]) -> None:
        with self._changed:
            while not is_known():
                if self._error is not None:
                    raise self._error
                if self._stop.is_set():
                    raise Stopped
                self._changed.wait(POLL_SECONDS)

    def _run(self) -> None:
        try:
            self._follow()
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits for results
            self._error = error
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def _follow(self) -> None:
        with (
            VideoReader(self._info, self._grid) as reader,
            make_face_detector(self._options.face_backend) as detector,
        ):
            tracker = FaceTracker(detector, float(self._grid.fps), self._options.face)
            for frame in reader.read(0, self._num_frames):
                if self._stop.is_set():
                    return
                with self._clock.measure("face"):
                    finished = tracker.push(frame)
                self.frames_seen += 1
                self._add(finished)
            self._add(tracker.finish())
            self.num_held = reader.num_held

    def _add(self, finished: list[FaceFrame]) -> None:
        if not finished:
            return
        with self._changed:
            for face in finished:
                if face.matrix is not None:
                    self._first_of_shot.setdefault(face.shot, face.index)
            self._faces.extend(finished)
            self._changed.notify_all()
