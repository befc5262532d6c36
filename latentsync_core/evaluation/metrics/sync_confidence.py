"""Sync confidence, distance and offset from two tracks of embeddings (SyncNet's protocol, joonson/syncnet_python).

Row t of a track is the embedding of the stretch that begins at frame t (25 fps). Every picture is compared with the
sounds within +-vshift frames (zeros beyond the ends, as there); the distances are averaged over the clip for each
shift. Sync distance = the least average; sync confidence = the median average less the least; a frame's confidence =
the median average less its own distance at the best shift, median-filtered over 9 frames. vshift is 15 unless said
otherwise; the figure depends on it, so it is stated with it (10 is the other one in use).
The offset counts as in this repository: +2 = the sound comes two frames after the lips (their script prints -2).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import medfilt

VSHIFT = 15  # frames
SMOOTHED_OVER = 9  # frames
PAIRWISE_EPS = 1e-6  # torch adds it to every difference

Embeddings = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class SyncScore:
    """Of one clip.

    Attributes:
        confidence: 0 or more, on the judge's own scale, as `distance`.
        offset: frames; positive = the sound comes after the lips.
        curve: (T,) confidence of every frame.
    """

    confidence: float
    distance: float
    offset: int
    curve: NDArray[np.float64]


def sync_score(pictures: Embeddings, sounds: Embeddings, vshift: int = VSHIFT) -> SyncScore:
    """Compare the tracks (T, D) and (T, D) of one clip.

    Raises:
        ValueError: for tracks of other shapes, or none.
    """
    if pictures.shape != sounds.shape or len(pictures) == 0:
        raise ValueError(f"two tracks of one length are needed, got {pictures.shape} and {sounds.shape}")
    padded = np.pad(sounds.astype(np.float64), ((vshift, vshift), (0, 0)))
    shifts = range(2 * vshift + 1)
    distances = np.stack(  # (T, shifts)
        [np.linalg.norm(pictures - padded[s : s + len(pictures)] + PAIRWISE_EPS, axis=1) for s in shifts], axis=1
    )
    averages = distances.mean(axis=0)
    best = int(averages.argmin())
    median = float(np.median(averages))  # of an odd number: no averaging, as torch's
    kernel = min(SMOOTHED_OVER, len(pictures) - 1 + len(pictures) % 2)
    return SyncScore(
        confidence=median - float(averages[best]),
        distance=float(averages[best]),
        offset=best - vshift,
        curve=np.asarray(medfilt(median - distances[:, best], kernel)),
    )
