"""Classifier-free guidance over the audio: silence is all zeros (not "no audio")."""

import torch
from torch import Tensor


def is_guided(guidance: float) -> bool:
    """At a scale of 1 or less guidance would change nothing or weaken the audio: one pass does."""
    return guidance > 1.0


def with_silence(audio: Tensor) -> Tensor:
    """Audio tokens (1, F, S, D) -> the batch (2, F, S, D): zeros first, then the audio."""
    return torch.cat([torch.zeros_like(audio), audio])


def guide(prediction: Tensor, guidance: float) -> Tensor:
    """Move the prediction away from what silence gives.

    Args:
        prediction: (2, ...), of silence and of the audio.
        guidance: 1 = the audio's prediction, more = exaggerated.

    Returns:
        (1, ...).
    """
    silent, heard = prediction.chunk(2)
    return silent + guidance * (heard - silent)
