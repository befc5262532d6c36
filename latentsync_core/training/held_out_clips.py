"""The clips of held-out people that a U-Net is validated with: the same windows in every run, as they were filmed."""

import logging
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from latentsync_core.audio.audio_encoder import AudioEncoder
from latentsync_core.diffusion.latents import Autoencoder
from latentsync_core.errors import UnreadableMedia
from latentsync_core.training.audio_cache import cache_audio
from latentsync_core.training.face_clips import FaceClip
from latentsync_core.training.latent_cache import LatentClip, cache_latents, weights_digest
from latentsync_core.training.unet_recipe import HELD_OUT_FRAMES
from latentsync_core.training.unet_windows import Batch, cut_window, whole_mel

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HeldOutClip:
    """The first frames of a clip, all of them, with one reference.

    Attributes:
        latents: cached, of N frames.
        audio: (N, S, D) tokens.
        mel: (80, T) of the whole clip.
    """

    latents: LatentClip
    audio: Tensor
    mel: Tensor

    @property
    def num_frames(self) -> int:
        """N."""
        return len(self.audio)

    def window(self, start: int, length: int, with_pictures: bool) -> Batch:
        """One window, the sound heard, as a batch of one."""
        parts = cut_window(
            self.latents,
            np.arange(start, start + length),
            self.audio[start : start + length],
            self.mel if with_pictures else None,
        )
        return Batch(*(part[None] for part in parts))


def open_held_out(
    clips: list[FaceClip],
    cache_dir: Path,
    vae: Autoencoder,
    mask: Tensor,
    encoder: AudioEncoder,
    context_frames: int,
    least_frames: int,
) -> list[HeldOutClip]:
    """Cache the latents of clips and hear their sound.

    Args:
        mask: (1, 1, R, R), 1 = keep.
        context_frames: heard on each side of a frame.
        least_frames: shorter clips are left out.

    Raises:
        UnreadableMedia: if all are shorter.
    """
    chosen = [clip for clip in clips if clip.num_frames >= least_frames]
    if not chosen:
        raise UnreadableMedia(f"none of {len(clips)} held-out clips has {least_frames} frames")
    cached = cache_latents(chosen, cache_dir, vae, mask, 0, 1, HELD_OUT_FRAMES, one_reference=True)
    digest = weights_digest(cast(nn.Module, encoder))
    log.info("cached %d held-out clips", len(cached))
    return [
        HeldOutClip(
            latents,
            cache_audio(latents.clip, cache_dir, encoder, digest).windows(
                np.arange(len(latents.frames)), context_frames
            ),
            whole_mel(latents.clip),
        )
        for latents in cached
    ]


def choose_windows(clips: list[HeldOutClip], length: int, count: int) -> list[tuple[HeldOutClip, int]]:
    """So many windows, evenly over the clips, and within a clip evenly from its first frames to its last ones.

    Returns:
        clips, each with the first frame of a window of `length` frames.
    """
    turns = -(-count // len(clips))
    windows = []
    for number, clip in enumerate(islice(cycle(clips), count)):
        share = (number // len(clips)) / max(1, turns - 1)
        windows.append((clip, round(share * (clip.num_frames - length))))
    return windows


def join_windows(windows: list[Batch]) -> Batch:
    """One batch of several."""
    first = vars(windows[0])
    names = [name for name, tensor in first.items() if tensor is not None]
    return Batch(**{name: torch.cat([getattr(window, name) for window in windows]) for name in names})
