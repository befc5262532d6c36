"""Step 3: split at shot cuts, by PySceneDetect's adaptive detector.

Frames come from our own reader (probed, limited, at 25 fps), not from PySceneDetect's. Its threshold is set lower than
its own 3: a false cut costs a piece of one shot, a missed one spoils a clip.
"""

from collections.abc import Iterable
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray
from scenedetect import AdaptiveDetector, FrameTimecode  # type: ignore[import-untyped]

from latentsync_core.data_preparation.resampling import VIDEO_FPS

ADAPTIVE_THRESHOLD = 2.0  # a frame's change over that of its neighbours
LOOKED_AT_SIDE = 256  # px, the shorter side is reduced to at most this; cuts are no matter of detail


def find_shots(frames: Iterable[NDArray[np.uint8]]) -> list[tuple[int, int]]:
    """Give the shots of a stream.

    Args:
        frames: (H, W, 3) uint8 RGB at 25 fps.

    Returns:
        (first frame, frame after the last) of each shot; they follow each other without a gap.
    """
    detector = AdaptiveDetector(adaptive_threshold=ADAPTIVE_THRESHOLD, min_scene_len=1)
    cuts: list[int] = []
    count = 0
    for frame in frames:
        found = detector.process_frame(FrameTimecode(count, fps=float(VIDEO_FPS)), _reduce(frame))
        cuts += [timecode.frame_num for timecode in found]
        count += 1
    edges = [0, *sorted(cuts), count]
    return [(first, stop) for first, stop in pairwise(edges) if stop > first]


def _reduce(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = frame.shape[:2]
    scale = min(1.0, LOOKED_AT_SIDE / min(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA) if scale < 1 else frame
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2BGR), dtype=np.uint8)
