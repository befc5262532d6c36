"""How a window of SyncNet's training is changed, so that few people's faces and voices are not learnt by heart.

Nothing here moves a lip against the sound or a frame against another: all frames of a window are changed alike.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentsync_core.audio.mel import MAX_VALUE, RANGE_DB

LARGEST_SHIFT = 0.03  # of the face's width, to any side
PER_DB = 2 * MAX_VALUE / RANGE_DB  # of a mel's values
LOUDNESS_DB = 6.0  # at most, up or down
TONE_DB, TONE_KNOTS = 4.0, 6  # of a random tone control: standard deviation, number of its sliders
NOISE_SHARE, NOISE_DB = 0.5, (0.0, 22.0)  # how often softest sounds drown, and how far above the mel's floor


def change_pictures(frames: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.float32]:
    """Mirror, shift and recolour frames (F, 3, h, w) alike.

    Returns:
        (F, 3, h, w) in [-1, 1]; what a shift uncovers repeats the edge.
    """
    height, width = frames.shape[2:]
    largest = round(LARGEST_SHIFT * width)
    down, right = generator.integers(-largest, largest + 1, 2)
    rows = np.clip(np.arange(height) + down, 0, height - 1)
    columns = np.clip(np.arange(width) + right, 0, width - 1)
    if generator.random() < 0.5:
        columns = columns[::-1]
    moved = np.take(np.take(frames, rows, 2), columns, 3)
    gain = generator.uniform(0.8, 1.15) * generator.uniform(0.93, 1.07, (3, 1, 1))
    offset = generator.uniform(-0.1, 0.1)
    changed: NDArray[np.float32] = moved * (gain / 127.5).astype(np.float32)
    changed += np.float32(offset - 1)
    return np.clip(changed, -1, 1, out=changed)


def change_mel(mel: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.float32]:
    """Change loudness and tone of a mel (80, M) in [-4, 4], and let its softest sounds drown in even noise."""
    sliders: NDArray[Any] = generator.normal(0, TONE_DB, TONE_KNOTS)
    tone = np.interp(np.linspace(0, TONE_KNOTS - 1, len(mel)), np.arange(TONE_KNOTS), sliders)
    decibels = tone[:, None] + generator.uniform(-LOUDNESS_DB, LOUDNESS_DB)
    floor = -MAX_VALUE
    if generator.random() < NOISE_SHARE:
        floor += PER_DB * generator.uniform(*NOISE_DB)
    return np.clip(mel + (PER_DB * decibels).astype(np.float32), np.float32(floor), np.float32(MAX_VALUE))
