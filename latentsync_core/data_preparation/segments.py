"""Step 4: cut shots into segments of 5 to 10 s, of equal length within a shot; nothing of a usable shot is lost."""

from itertools import pairwise
from math import ceil

from latentsync_core.data_preparation.resampling import VIDEO_FPS


def cut_segments(first: int, stop: int, min_seconds: float, max_seconds: float) -> list[tuple[int, int]]:
    """Cut one shot.

    Args:
        first: its first frame at 25 fps.
        stop: the frame after its last.
        min_seconds: shortest segment.
        max_seconds: longest segment, at least twice the shortest.

    Returns:
        (first frame, frame after the last) of each segment; none if the shot is too short.
    """
    length = stop - first
    if length < min_seconds * VIDEO_FPS:
        return []
    pieces = max(1, ceil(length / (max_seconds * VIDEO_FPS)))
    edges = [first + piece * length // pieces for piece in range(pieces + 1)]
    return list(pairwise(edges))
