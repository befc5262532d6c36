"""What every audio encoder gives: one state (of one or more layers) every 20 ms."""

from typing import Protocol

from torch import Tensor


class AudioEncoder(Protocol):
    """Turns speech into features for the cross-attention of the U-Net."""

    def encode(self, pcm: Tensor) -> Tensor:
        """Hear a whole track.

        Args:
            pcm: (N,) float32 mono samples in [-1, 1] at 16 kHz.

        Returns:
            (T, L, D) float32: T states at 50 per second, L layers of width D.
        """
        ...
