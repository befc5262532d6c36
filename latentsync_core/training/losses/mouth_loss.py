"""What both of SyncNet's embeddings must tell at first hand: how the mouth moves. Ours, not in the paper.

Whether lips and sound belong together is hard to find out from nothing but yes and no: for hundreds of steps neither
embedding holds anything that the other one could be compared with, and the loss stays at ln 2. Where the mouth is
known frame by frame, as in prepared clips, one linear layer each reads it off the embeddings; the layers are thrown
away after the training.
"""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from latentsync_core.data_preparation.face_mesh import mouth_opening
from latentsync_core.face.mediapipe_backend import FOREHEAD_AND_CHIN

MEASURES = 4
FURTHEST = 4.0  # standard deviations
LEAST_SPREAD = 1e-3  # of the face's height: a batch of shut mouths is not blown up to noise
_CORNERS, _OUTER_LIPS, _NOSE_AND_CHIN = (61, 291), (0, 17), (1, 152)


def mouth_measures(mesh: NDArray[np.floating]) -> NDArray[np.float32]:
    """Opening, width, height of the outer lips, and nose to chin: the same for a mirrored face.

    Args:
        mesh: (F, 468, 2) in pixels; NaN where there is no face.

    Returns:
        (F, 4), shares of the clip's median height of the face; 0 where there is no face.
    """

    def distance(pair: tuple[int, int]) -> NDArray[np.floating]:
        return np.linalg.norm(mesh[:, pair[0]] - mesh[:, pair[1]], axis=-1)

    height = np.nanmedian(distance(FOREHEAD_AND_CHIN))
    others = [distance(pair) / height for pair in (_CORNERS, _OUTER_LIPS, _NOSE_AND_CHIN)]
    return np.nan_to_num(np.stack([mouth_opening(mesh), *others], axis=1)).astype(np.float32)


class TaughtSyncNet(nn.Module):
    """A SyncNet and the two layers that read the mouth off its embeddings.

    Args:
        syncnet: (frames, mel) -> embeddings (B, D) of length 1.
        embedding_dim: D.
        num_frames: of a window.
    """

    def __init__(self, syncnet: nn.Module, embedding_dim: int, num_frames: int) -> None:
        super().__init__()
        self.syncnet = syncnet
        self.readers = nn.ModuleList(nn.Linear(embedding_dim, num_frames * MEASURES) for _ in ("seen", "heard"))

    def forward(self, frames: Tensor, mel: Tensor) -> tuple[Tensor, Tensor]:
        """As the network alone."""
        embeddings: tuple[Tensor, Tensor] = self.syncnet(frames, mel)
        return embeddings

    def judge_mouth(self, vision: Tensor, audio: Tensor, mouth: Tensor) -> dict[str, Tensor]:
        """How much of the mouth's movement the embeddings do not tell: 1 = all of it is missing.

        Args:
            vision: (B, D) embeddings of the pictures.
            audio: (B, D) of their own sound.
            mouth: (B, F, 4) measures of the same windows.
        """
        movement = mouth - mouth.mean(1, keepdim=True)
        spread = movement.flatten(0, 1).std(0).clamp(min=LEAST_SPREAD)
        wanted = (movement / spread).clamp(-FURTHEST, FURTHEST).flatten(1)
        scale = vision.shape[1] ** 0.5  # entries of about 1
        told = {
            name: reader(embedding.float() * scale)
            for name, reader, embedding in zip(("seen", "heard"), self.readers, (vision, audio), strict=True)
        }
        return {f"mouth_{name}": (values - wanted).square().mean() for name, values in told.items()}
