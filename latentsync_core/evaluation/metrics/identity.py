"""CSIM: cosine of ArcFace embeddings (arXiv:1801.07698) of the result's and the source's face; of a clip, the mean.

Protocol: every fifth frame with a face in both videos; each face brought to ArcFace's 112 px template by eyes, nose and
corners of the mouth of its own mesh (the published figures use RetinaFace's five points).
The network is insightface's IResNet, its `backbone.pth` by path.
"""

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch.nn import functional

from latentsync_core.face.alignment import fit_similarity
from latentsync_core.face.sampling import sample_affine
from latentsync_core.models.arcface import FACE_SIDE, IResNet

FRAME_STEP = 5
#: Where insightface puts the eyes, the nose and the corners of the mouth, pixels of 112.
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
#: The mesh's points for them; an eye is the middle of its corners.
POINTS = ((33, 133), (362, 263), (1,), (61,), (291,))


def arcface_crop(frame: NDArray[np.uint8], mesh: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Cut (112, 112, 3) uint8 out of a frame (H, W, 3) uint8 by its mesh (468, 2)."""
    points = np.stack([mesh[list(group)].mean(axis=0) for group in POINTS]).astype(np.float64)
    return sample_affine(frame, fit_similarity(points, TEMPLATE), (FACE_SIDE, FACE_SIDE))


@torch.no_grad()
def identity_similarity(network: IResNet, generated: NDArray[np.uint8], real: NDArray[np.uint8]) -> float:
    """Give the mean cosine of crops (K, 112, 112, 3) uint8 RGB each, -1..1."""
    a, b = (network(_to_signed(crops)) for crops in (generated, real))
    return float(functional.cosine_similarity(a, b).mean())


def _to_signed(crops: NDArray[np.uint8]) -> torch.Tensor:
    return rearrange(torch.from_numpy(crops.copy()).float() / 127.5 - 1, "f h w c -> f c h w")
