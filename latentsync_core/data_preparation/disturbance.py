"""Footage that is out of sync, made on purpose: the offset's correction can only be studied where there is one.

The paper's footage has offsets of its own; a small collection whose offsets were corrected before has none. The offset
is that of a whole video, drawn from its name, and held-out people keep their sync: all variants of a study are judged
by the same windows.
"""

import hashlib

from latentsync_core.data_preparation.raw_videos import RawVideo


def sound_delay(video: RawVideo, largest: int) -> int:
    """Draw by how many frames the sound of a video comes late, -largest to largest; 0 for people held out."""
    if video.split != "train":
        return 0
    number = int.from_bytes(hashlib.sha256(f"{video.name}/delay".encode()).digest()[:8], "big")
    return number % (2 * largest + 1) - largest
