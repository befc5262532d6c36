"""A discriminator on patches of pictures: it shows a decoder what skin, teeth and lips of real frames look like.

A decoder that learns by differences of pixels answers blurred latents with a blur. Hinge loss and spectral
normalisation (arXiv:1802.05957) on patches, as autoencoders of latent diffusion learn (arXiv:2112.10752, appendix G).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

DETAIL_GAIN = 8.0  # of what a blur takes away, shown beside the picture: else it learns ten times slower
DETAIL_SIDE = 5  # pixels of that blur
FOLDED = 4  # pixels a side become channels before the first convolution: wide layers at low resolution are cheap


class PictureDiscriminator(nn.Module):
    """Judges pictures (N, 3, h, w) in [-1, 1], sides multiples of 4, patch by patch: logits (N, 1, h / 8, w / 8).

    Args:
        width: of its first layers.
    """

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        wide = width * 3 // 2
        self.body = nn.Sequential(
            nn.PixelUnshuffle(FOLDED),
            spectral_norm(nn.Conv2d(2 * 3 * FOLDED**2, width, 3, padding=1)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(width, width, 3, padding=1)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(width, wide, 4, stride=2, padding=1)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(wide, wide, 3, padding=1)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(wide, 1, 1)),
        )

    def forward(self, pictures: Tensor) -> Tensor:
        blurred = F.avg_pool2d(pictures, DETAIL_SIDE, 1, DETAIL_SIDE // 2)
        logits: Tensor = self.body(torch.cat([pictures, DETAIL_GAIN * (pictures - blurred)], dim=1))
        return logits


class PictureAdversary:
    """The discriminator with its optimiser.

    Args:
        discriminator: the network.
        learning_rate: of its optimiser.
    """

    def __init__(self, discriminator: PictureDiscriminator, learning_rate: float) -> None:
        self.discriminator = discriminator
        self._optimizer = torch.optim.AdamW(
            discriminator.parameters(), learning_rate, betas=(0.5, 0.9), weight_decay=0.0
        )

    def learn(self, real: Tensor, fake: Tensor) -> Tensor:
        """One step on real and decoded pictures (N, 3, h, w); gives the hinge loss (2 = tells nothing, 0 = all)."""
        self.discriminator.requires_grad_(True)
        with torch.autocast(real.device.type, torch.bfloat16):
            of_real, of_fake = self.discriminator(real), self.discriminator(fake.detach())
        loss = F.relu(1 - of_real.float()).mean() + F.relu(1 + of_fake.float()).mean()
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        return loss.detach()

    def fooling_loss(self, fake: Tensor) -> Tensor:
        """What the decoder minimises: the mean logit of its pictures (N, 3, h, w), negated."""
        self.discriminator.requires_grad_(False)
        with torch.autocast(fake.device.type, torch.bfloat16):
            logits: Tensor = self.discriminator(fake)
        return -logits.float().mean()

    def state_dict(self) -> dict[str, Any]:
        return {"discriminator": self.discriminator.state_dict(), "optimizer": self._optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.discriminator.load_state_dict(state["discriminator"])
        self._optimizer.load_state_dict(state["optimizer"])
