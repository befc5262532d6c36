"""Wav2Lip's SyncNet (arXiv:2008.10010), as published for faces of 96 px and as LatentSync's study has it (figure 7).

Plain convolutions with batch norm, five frames, 0.2 s of sound. Parameter names as in the public networks.
"""

from torch import Tensor, nn
from torch.nn import functional

LEAKY_SLOPE = 0.2

#: Per layer: channels out, kernel, stride (height, width), padding. A layer that keeps size and width adds its input.
_VISION = (
    (32, 7, (1, 1), 3),
    (64, 5, (1, 2), 1),
    *[(64, 3, (1, 1), 1)] * 2,
    (128, 3, (2, 2), 1),
    *[(128, 3, (1, 1), 1)] * 3,
    (256, 3, (3, 3), 1),
    *[(256, 3, (1, 1), 1)] * 2,
    (512, 3, (2, 2), 1),
    *[(512, 3, (1, 1), 1)] * 2,
    (1024, 3, (2, 2), 1),
    *[(1024, 3, (1, 1), 1)] * 2,
    (1024, 3, (2, 2), 1),
    (1024, 3, (1, 1), 0),
    (1024, 1, (1, 1), 0),
)
_SOUND = (
    *[(32, 3, (1, 1), 1)] * 3,
    (64, 3, (3, 1), 1),
    *[(64, 3, (1, 1), 1)] * 2,
    (128, 3, (3, 3), 1),
    *[(128, 3, (1, 1), 1)] * 2,
    (256, 3, (3, 2), 1),
    *[(256, 3, (1, 1), 1)] * 2,
    (512, 3, (1, 1), 1),
    *[(512, 3, (1, 1), 1)] * 2,
    (1024, 3, (1, 1), 0),
    (1024, 1, (1, 1), 0),
)
#: Likewise for faces of 96 px, whose lower half is 48 x 96.
_VISION_96 = (
    (32, 7, (1, 1), 3),
    (64, 5, (1, 2), 1),
    *[(64, 3, (1, 1), 1)] * 2,
    (128, 3, (2, 2), 1),
    *[(128, 3, (1, 1), 1)] * 3,
    (256, 3, (2, 2), 1),
    *[(256, 3, (1, 1), 1)] * 2,
    (512, 3, (2, 2), 1),
    *[(512, 3, (1, 1), 1)] * 2,
    (512, 3, (2, 2), 1),
    (512, 3, (1, 1), 0),
    (512, 1, (1, 1), 0),
)
_SOUND_96 = (*_SOUND[:12], (512, 3, (1, 1), 0), (512, 1, (1, 1), 0))
_LAYERS = {256: (_VISION, _SOUND), 96: (_VISION_96, _SOUND_96)}
EMBEDDING_DIMS = {256: 1024, 96: 512}  # by resolution of the whole face


class ConvBlock(nn.Module):
    """Convolution, batch norm, perhaps the input added, activation."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: tuple[int, int],
        padding: int,
        *,
        rectified: bool,
    ) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, kernel, stride, padding), nn.BatchNorm2d(out_channels)
        )
        self.residual = in_channels == out_channels and stride == (1, 1) and padding > 0
        self.rectified = rectified

    def forward(self, hidden: Tensor) -> Tensor:
        change = self.conv_block(hidden)
        if self.residual:
            change = change + hidden
        return functional.relu(change) if self.rectified else functional.leaky_relu(change, LEAKY_SLOPE)


class Wav2LipSyncNet(nn.Module):
    """Two convolutional encoders with embeddings of length 1.

    Args:
        num_frames: of a window.
        resolution: of the whole face, 256 or 96.
    """

    def __init__(self, num_frames: int = 5, resolution: int = 256) -> None:
        super().__init__()
        vision, sound = _LAYERS[resolution]
        self.visual_encoder = _encoder(3 * num_frames, vision, num_rectified=3)
        self.audio_encoder = _encoder(1, sound, num_rectified=2)

    def forward(self, frames: Tensor, mel: Tensor) -> tuple[Tensor, Tensor]:
        """Embed pictures and sound.

        Args:
            frames: (B, F * 3, 128, 256) in [-1, 1], frame-major, the lower half of the aligned faces; or (.., 48, 96).
            mel: (B, 1, 80, 16) in [-4, 4], see `latentsync_core.audio.mel`.

        Returns:
            vision and audio embeddings, (B, 1024) each, or (B, 512), of length 1.
        """
        vision = functional.normalize(self.visual_encoder(frames).flatten(1), dim=1)
        audio = functional.normalize(self.audio_encoder(mel).flatten(1), dim=1)
        return vision, audio


def _encoder(
    in_channels: int, layers: tuple[tuple[int, int, tuple[int, int], int], ...], *, num_rectified: int
) -> nn.Sequential:
    """Stack the layers; the last `num_rectified` end in a ReLU, the others are leaky."""
    blocks = []
    for index, (out_channels, kernel, stride, padding) in enumerate(layers):
        rectified = index >= len(layers) - num_rectified
        blocks.append(ConvBlock(in_channels, out_channels, kernel, stride, padding, rectified=rectified))
        in_channels = out_channels
    return nn.Sequential(*blocks)
