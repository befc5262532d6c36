"""Is it still this person? Likeness of generated lower faces to the person's own frames. A stand-in, and no CSIM.

Mean cosine of features of generated frames and of the source's real frames at other times (every fifth frame, at least
5 frames apart; lower halves of aligned faces). The features are a small home-trained network's
(`latentsync_core.training.losses.face_features`, shipped as models/mini_face_features), the means of its deepest maps;
it learnt whose lower face it sees on people who are in no benchmark that ships. Lighting and background help it: one
clip's frames are alike for more reasons than the face.
"""

import numpy as np
import torch
from einops import rearrange, reduce
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from latentsync_core.training.losses.face_features import FaceFeatures
from latentsync_core.training.sync_windows import lower_half

FRAME_STEP = 5
APART = 5  # frames


@torch.no_grad()
def own_face_likeness(
    network: FaceFeatures, generated: NDArray[np.uint8], real: NDArray[np.uint8], frames: NDArray[np.int64]
) -> float:
    """Give the mean cosine, -1..1; NaN with too few frames.

    Args:
        network: of `load_face_feature_distance`.
        generated, real: (K, R, R, 3) uint8 aligned faces, RGB.
        frames: (K,) their numbers.
    """
    chosen = np.arange(0, len(frames), FRAME_STEP)
    apart = np.abs(frames[chosen][:, None] - frames[chosen][None]) >= APART
    if not apart.any():
        return float("nan")
    ours, theirs = (_embed(network, crops[chosen]) for crops in (generated, real))
    return float((ours @ theirs.T)[torch.from_numpy(apart)].mean())


def _embed(network: FaceFeatures, crops: NDArray[np.uint8]) -> Tensor:
    pictures = rearrange(torch.from_numpy(lower_half(crops).astype(np.float32)) / 127.5 - 1, "k h w c -> k c h w")
    return functional.normalize(reduce(network(pictures)[-1], "k c h w -> k c", "mean"), dim=1)
