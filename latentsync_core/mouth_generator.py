"""From aligned crops and sound to new mouths: the diffusion part of the method (arXiv:2412.09262, 3.1), block by block.

Encode the crops with and without the mouth, denoise each window of the block, blend the frames shared with the block
before, decode. (Pasting replaces the hole only, so the kept pixels need not be put back here as the reference does.)
A block's result depends on the block only: encoding draws its samples from a generator seeded by its first frame.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from latentsync_core.audio.audio_windows import cut_audio_windows
from latentsync_core.bundle import Bundle
from latentsync_core.diffusion.denoise import denoise
from latentsync_core.diffusion.latents import (
    decode_latents,
    encode_to_latents,
    mask_at_latents,
    spatial_factor,
)
from latentsync_core.diffusion.noise import shared_noise

AUTOENCODER_BATCH = 8  # pictures at once: bounds the memory of the autoencoder at 512 px


@dataclass(frozen=True)
class Denoising:
    """How the loop runs: steps, guidance scale, seed."""

    steps: int
    guidance: float
    seed: int


class MouthGenerator:
    """Generates the mouths of one run; holds the run's noise and features.

    Args:
        bundle: the networks.
        features: (T, L, D) audio features of the whole sound, 50 per second.
        denoising: steps, guidance, seed.
    """

    def __init__(self, bundle: Bundle, features: Tensor, denoising: Denoising) -> None:
        self._bundle, self._features, self._denoising = bundle, features, denoising
        factor = spatial_factor(bundle.vae)
        side = bundle.config.resolution // factor
        self._mask = bundle.mask.to(bundle.device, torch.float32)
        self._latent_mask = mask_at_latents(self._mask, factor)
        self._noise = shared_noise(bundle.vae.config.latent_channels, side, side, denoising.seed)

    def denoise_block(
        self,
        crops: Sequence[NDArray[np.uint8]],
        times: Sequence[float],
        windows: Sequence[range],
        *,
        first_frame: int,
        references: Sequence[NDArray[np.uint8]] | None,
        on_step: Callable[[], None],
    ) -> Tensor:
        """Make the clean latents of a block.

        Args:
            crops: F aligned faces (R, R, 3) uint8.
            times: the instant of the sound of each frame, seconds, (F,).
            windows: positions of each window's frames; together they cover 0..F-1 once.
            first_frame: number of the block's first frame, which seeds its random stream.
            references: F aligned faces (R, R, 3) uint8 as the frames' references, None = each frame is its own.
            on_step: called after every denoising step of every window.

        Returns:
            (F, C, h, w) float32.
        """
        generator = torch.Generator("cpu").manual_seed(self._denoising.seed + first_frame)
        pixels = self.to_pixels(crops)
        masked = self._encode(pixels * self._mask, generator)
        if references is None:
            reference = self._encode(pixels, generator)
        else:
            reference = self._encode_references(references, generator)
        audio = cut_audio_windows(self._features, list(times), self._bundle.config.audio_context_frames)
        latents = torch.empty_like(masked, dtype=torch.float32)
        for window in windows:
            chosen = torch.tensor(window)
            clean = denoise(
                self._bundle.unet,
                self._bundle.scheduler,
                noise=self._noise,
                mask=self._latent_mask,
                masked=_as_video(masked[chosen]),
                reference=_as_video(reference[chosen]),
                audio=audio[chosen],
                steps=self._denoising.steps,
                guidance=self._denoising.guidance,
                residual_reference=self._bundle.config.residual_reference,
                on_step=lambda _: on_step(),
            )
            latents[chosen] = rearrange(clean, "1 c f h w -> f c h w").float()
        return latents

    def decode(self, latents: Tensor) -> list[NDArray[np.uint8]]:
        """Decode latents (F, C, h, w) to F whole faces (R, R, 3) uint8, kept part included."""
        decoded = [decode_latents(self._bundle.vae, part).float() for part in latents.split(AUTOENCODER_BATCH)]
        levels = ((torch.cat(decoded) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        return list(rearrange(levels, "f c h w -> f h w c").cpu().numpy())

    def reconstruct(self, face: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Give what the autoencoder makes of a face (R, R, 3) uint8."""
        generator = torch.Generator("cpu").manual_seed(self._denoising.seed)
        return self.decode(self._encode(self.to_pixels([face]), generator).float())[0]

    def to_pixels(self, crops: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Turn F crops (R, R, 3) uint8 into (F, 3, R, R) float32 in [-1, 1] on the bundle's device."""
        levels = torch.from_numpy(np.stack(crops)).to(self._bundle.device)
        return rearrange(levels, "f h w c -> f c h w").float() / 127.5 - 1

    def _encode(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        parts = [encode_to_latents(self._bundle.vae, part, generator) for part in pixels.split(AUTOENCODER_BATCH)]
        return torch.cat(parts).to(self._bundle.dtype)  # (F, C, h, w)

    def _encode_references(self, crops: Sequence[NDArray[np.uint8]], generator: torch.Generator) -> Tensor:
        if _are_one(crops):
            return self._encode(self.to_pixels(crops[:1]), generator).expand(len(crops), -1, -1, -1)
        return self._encode(self.to_pixels(crops), generator)


def blend_lead(before: Tensor, now: Tensor) -> Tensor:
    """Go over from one block's latents to the next's on the frames they share.

    Args:
        before, now: (F, C, h, w) of the same frames.

    Returns:
        (F, C, h, w): the first frames mostly `before`, the last mostly `now`.
    """
    num_frames = len(now)
    weights = (torch.arange(1, num_frames + 1, device=now.device, dtype=now.dtype) / (num_frames + 1)).reshape(
        -1, 1, 1, 1
    )
    return before * (1 - weights) + now * weights


def _are_one(crops: Sequence[NDArray[np.uint8]]) -> bool:
    return all(crop is crops[0] for crop in crops)


def _as_video(latents: Tensor) -> Tensor:
    return rearrange(latents, "f c h w -> 1 c f h w")
