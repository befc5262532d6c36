"""Success rate: the share of pairs of which there is a usable result. Our own definition.

A result counts if its file is there and decodes, is as long as picture or sound ask for (at most 0.2 s short of the
stretch that is judged), and shows a face in at least 95 % of the frames in which the source shows one.
A pair without a result counts as a failure here and is absent from all other means.
"""

import numpy as np
from numpy.typing import NDArray

MISSING_FRAMES = 5  # at 25 fps
FACE_SHARE = 0.95


def is_success(has_face: NDArray[np.bool_], source_has_face: NDArray[np.bool_], wanted_frames: int) -> bool:
    """Judge a result that decodes.

    Args:
        has_face: (F,) frames of the result with a face.
        source_has_face: (S,) frames of the source with a face.
        wanted_frames: at 25 fps.
    """
    if len(has_face) < wanted_frames - MISSING_FRAMES:
        return False
    common = min(len(has_face), len(source_has_face))
    expected = source_has_face[:common]
    return bool(has_face[:common][expected].mean() >= FACE_SHARE) if expected.any() else False
