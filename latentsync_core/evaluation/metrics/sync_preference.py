"""Sync preference: how often a StableSyncNet finds a stretch more alike to its own sound than to a shifted one.

Every stretch is compared with the sounds of all instants of the clip that are 0.4 s or more away; the share that its
own sound wins: 1 = always, 0.5 = chance. Ours. Unlike SyncNet accuracy it asks for no fixed boundary, so a judge that
finds everything a little too alike does not lose by it.
"""

import numpy as np
from numpy.typing import NDArray

LEAST_SHIFT = 10  # frames at 25 fps, 0.4 s

Embeddings = NDArray[np.floating]


def sync_preference(pictures: Embeddings, sounds: Embeddings) -> float:
    """Judge a clip's unit embeddings (T, D) each; NaN for clips of 0.4 s or less, ties count one half."""
    alike = pictures @ sounds.T
    own = np.diag(alike)[:, None]
    instants = np.arange(len(pictures))
    shifted = np.abs(instants[:, None] - instants[None]) >= LEAST_SHIFT
    if not shifted.any():
        return float("nan")
    return float(((own > alike) + 0.5 * (own == alike))[shifted].mean())
