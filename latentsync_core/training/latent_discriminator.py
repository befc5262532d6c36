"""A discriminator on clean latents: it keeps the predicted mouths sharp where a squared error alone would blur them.

A squared error is least at the mean of all mouths that would fit, which is a blur. The discriminator works on latents,
as in arXiv:2403.12015, so the autoencoder is not needed in training; it sees what the U-Net was told (the reference
beside the mouth; the audio by projection, arXiv:1802.05637). A real mouth with another one's audio counts as a fake too
(arXiv:1605.05396), so a sharp mouth that says something else is no way out. Hinge loss, spectral normalisation
(arXiv:1802.05957); the weight of its gradient follows the reconstruction's (arXiv:2012.09841, equation 7).
"""

from typing import Any

import torch
from einops import reduce
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from latentsync_core.training.devices import autocast
from latentsync_core.training.processes import ALONE, Processes


class LatentDiscriminator(nn.Module):
    """Judges patches of latents (N, C, h, w) beside their reference (N, C, h, w) and audio tokens (N, S, D).

    Args:
        latent_channels: C.
        audio_dim: D.
        width: of its layers.
    """

    def __init__(self, latent_channels: int, audio_dim: int, width: int = 192) -> None:
        super().__init__()
        wide = width * 3 // 2
        self.body = nn.Sequential(
            spectral_norm(nn.Conv2d(2 * latent_channels, width, 3, padding=1)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(width, width, 3, padding=1)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(width, wide, 4, stride=2, padding=1)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(wide, wide, 3, padding=1)),
            nn.LeakyReLU(0.2),
        )
        self.realness = spectral_norm(nn.Conv2d(wide, 1, 1))
        self.audio = spectral_norm(nn.Linear(audio_dim, wide))

    def forward(self, latents: Tensor, reference: Tensor, audio: Tensor) -> Tensor:
        """Logits (N, 1, h / 2, w / 2), higher = more real."""
        features = self.body(torch.cat([latents, reference], dim=1))
        heard = self.audio(reduce(audio, "n s d -> n d", "mean"))[..., None, None]
        return self.realness(features) + (features * heard).sum(1, keepdim=True) / features.shape[1] ** 0.5


class Adversary:
    """The discriminator with its optimiser; several processes teach it together.

    Args:
        discriminator: the network.
        learning_rate: of its optimiser.
        precision: bf16, or any other for float32 arithmetic: its losses are not scaled for float16.
        processes: whose gradients are averaged.
    """

    def __init__(
        self,
        discriminator: LatentDiscriminator,
        learning_rate: float,
        precision: str = "bf16",
        processes: Processes = ALONE,
    ) -> None:
        processes.share_weights(discriminator)
        self.discriminator = discriminator
        self._processes = processes
        self._precision = "bf16" if precision == "bf16" else "fp32"
        self._learning_rate = learning_rate
        self._optimizer = torch.optim.AdamW(
            discriminator.parameters(), learning_rate, betas=(0.5, 0.9), weight_decay=0.0
        )

    def learn(self, real: Tensor, fake: Tensor, reference: Tensor, audio: Tensor) -> Tensor:
        """One step on real and predicted latents (N, C, h, w); gives the hinge loss (2 = tells nothing, 0 = all)."""
        self.discriminator.requires_grad_(True)
        shown = torch.cat([real, fake.detach(), real])
        heard = torch.cat([audio, audio, audio.roll(len(audio) // 2, 0)])
        with autocast(real.device, self._precision):
            logits = self.discriminator(shown, reference.repeat(3, 1, 1, 1), heard)
        of_real, of_fake, of_mismatched = logits.float().chunk(3)
        loss = F.relu(1 - of_real).mean() + (F.relu(1 + of_fake).mean() + F.relu(1 + of_mismatched).mean()) / 2
        self._optimizer.zero_grad()
        loss.backward()
        self._processes.average_gradients(self.discriminator.parameters())
        self._optimizer.step()
        return loss.detach()

    def fooling_loss(self, fake: Tensor, reference: Tensor, audio: Tensor) -> Tensor:
        """What the U-Net minimises: the mean logit of its latents (N, C, h, w), negated."""
        self.discriminator.requires_grad_(False)
        with autocast(fake.device, self._precision):
            logits = self.discriminator(fake, reference, audio)
        return -logits.float().mean()

    def state_dict(self) -> dict[str, Any]:
        return {"discriminator": self.discriminator.state_dict(), "optimizer": self._optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.discriminator.load_state_dict(state["discriminator"])
        self._optimizer.load_state_dict(state["optimizer"])
        for group in self._optimizer.param_groups:
            group["lr"] = self._learning_rate  # the recipe's, which may have changed since


def balance(reconstruction: Tensor, adversarial: Tensor, prediction: Tensor) -> Tensor:
    """The factor that gives both losses the same size of gradient at the prediction, at most 1e4."""
    (of_reconstruction,) = torch.autograd.grad(reconstruction, prediction, retain_graph=True)
    (of_adversarial,) = torch.autograd.grad(adversarial, prediction, retain_graph=True)
    return (of_reconstruction.norm() / (of_adversarial.norm() + 1e-8)).clamp(max=1e4).detach()
