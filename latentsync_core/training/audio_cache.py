"""Audio states of prepared clips, computed once: the U-Net then trains without running the audio encoder again.

A variant is the sound with another loudness and some noise; variant 0 is the sound as it is.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from latentsync_core.audio.audio_encoder import AudioEncoder
from latentsync_core.audio.audio_windows import window_rows
from latentsync_core.training.cache_key import cache_key
from latentsync_core.training.face_clips import SAMPLE_RATE, VIDEO_FPS, FaceClip


@dataclass(frozen=True)
class CachedAudio:
    """The states of one clip's sound in one variant, mapped from disk when first used."""

    path: Path

    @cached_property
    def states(self) -> NDArray[np.float16]:
        """(T, L, D) at 50 per second."""
        return np.load(self.path, mmap_mode="r")

    def windows(self, frames: NDArray[np.int64], context_frames: int) -> Tensor:
        """What frames (F,) of the clip hear: (F, S, D) tokens in float32, see `cut_audio_windows`."""
        rows = window_rows(len(self.states), torch.from_numpy(frames / VIDEO_FPS), context_frames)
        return rearrange(torch.from_numpy(self.states[rows.numpy()]).float(), "f rows l d -> f (rows l) d")


def cache_audio(clip: FaceClip, folder: Path, encoder: AudioEncoder, digest: str, variant: int = 0) -> CachedAudio:
    """Hear a clip, unless that is done already.

    Args:
        folder: of the cache; a file per clip and variant, named after everything that it depends on.
        digest: of the encoder's weights.
    """
    key = cache_key([clip.folder / "pcm.npy"], digest, variant, clip.num_frames)
    path = folder / f"{clip.folder.name}.{variant}.{key}.audio.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".tmp.npy")
        np.save(unfinished, _hear(encoder, clip, variant).half().cpu().numpy())
        unfinished.replace(path)
    return CachedAudio(path)


@torch.no_grad()
def _hear(encoder: AudioEncoder, clip: FaceClip, variant: int) -> Tensor:
    """(T, L, D) states of a clip's sound."""
    pcm = clip.pcm
    if variant:
        generator = np.random.default_rng([variant, clip.num_frames])
        pcm = pcm * 10 ** generator.uniform(-0.4, 0.3)
        noise = generator.standard_normal(len(pcm)).astype(np.float32)
        pcm = pcm + noise * pcm.std() * 10 ** generator.uniform(-2.0, -1.0)
    wanted = clip.num_frames * SAMPLE_RATE // VIDEO_FPS
    pcm = np.pad(pcm, (0, max(0, wanted - len(pcm))))
    return encoder.encode(torch.from_numpy(pcm.astype(np.float32)))
