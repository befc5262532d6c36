"""SyncNet accuracy: how often a StableSyncNet takes a stretch with its own sound for true and with another's for false.

As in its training and validation (arXiv:2412.09262, section 3.3): the cosine of both embeddings on the right side of
one half; the wrong sound is that of another instant of the same clip, at least 4 frames away, drawn with a fixed seed.
Mean of both halves: 0.5 = chance. Of real clips it tells how good the judge is, of generated ones whether they
convince it.
"""

import numpy as np
from numpy.typing import NDArray

BOUNDARY = 0.5
LEAST_AWAY = 4  # frames

Embeddings = NDArray[np.floating]


def syncnet_accuracy(pictures: Embeddings, sounds: Embeddings, seed: int = 0) -> float:
    """Judge a clip's unit embeddings (T, D) each; NaN for clips too short to have another instant for every stretch."""
    count = len(pictures)
    if count <= 2 * LEAST_AWAY:
        return float("nan")
    generator = np.random.default_rng(seed)
    instants = np.arange(count)
    others = [int(generator.choice(instants[np.abs(instants - t) >= LEAST_AWAY])) for t in instants]
    own = (pictures * sounds).sum(axis=1)
    wrong = (pictures * sounds[others]).sum(axis=1)
    return float(((own > BOUNDARY).mean() + (wrong <= BOUNDARY).mean()) / 2)
