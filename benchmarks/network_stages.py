"""The stages that are networks, each alone: hearing, encoding to latents, denoising, decoding, putting detail back.

They run as `MouthGenerator` runs them, and their operations and bytes are counted. A network that takes minutes is
measured in part only: one pass of one window without guidance, a few pictures (`Sampling`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from benchmarks.counting import Cost, count_cost
from benchmarks.picture_stages import Clip, Meter
from benchmarks.stage_figures import StageFigures
from latentsync_core.audio.audio_windows import cut_audio_windows
from latentsync_core.bundle import Bundle
from latentsync_core.diffusion.denoise import denoise
from latentsync_core.diffusion.guidance import is_guided
from latentsync_core.diffusion.latents import decode_latents, encode_to_latents, mask_at_latents, spatial_factor
from latentsync_core.diffusion.noise import shared_noise
from latentsync_core.face.reference_detail import restore_detail
from latentsync_core.frame_supply import Crop
from latentsync_core.mouth_generator import AUTOENCODER_BATCH, Denoising, MouthGenerator
from latentsync_core.windows import overlap_of

SAMPLE_RATE, CLIP_FPS = 16_000, 25


@dataclass(frozen=True)
class Sampling:
    """How much of the work is really done.

    Attributes:
        windows: of 16 frames.
        is_brief: of one window one step without guidance, and of its pictures two.
        warm_up: do a part once before it is measured.
    """

    windows: int = 2
    is_brief: bool = False
    warm_up: bool = True


class NetworkStages:
    """Measures the networks of one bundle on one clip.

    Args:
        bundle: the networks.
        clip: at least `sampling.windows` windows of frames.
        denoising: steps, guidance, seed of a real run.
        sampling: how much of it is done.
        meter: measures a block under a stage's name.
    """

    def __init__(self, bundle: Bundle, clip: Clip, denoising: Denoising, sampling: Sampling, meter: Meter) -> None:
        self._bundle, self._clip, self._denoising = bundle, clip, denoising
        self._sampling, self._meter = sampling, meter
        self._dtype = str(bundle.dtype).removeprefix("torch.")
        self._window = bundle.config.window_frames
        self._finished = self._window - overlap_of(bundle.unet.config, bundle.config.window_overlap)
        self._generator = MouthGenerator(bundle, torch.zeros(0), denoising)

    @torch.inference_mode()
    def run(self, pcm: Tensor) -> tuple[list[Crop], list[StageFigures]]:
        """Measure all; gives decoded faces (R, R, 3) too.

        Args:
            pcm: (N,) float32 mono sound at 16 kHz.
        """
        features, heard = self._hear(pcm)
        masked, reference, encoded = self._encode()
        latents, denoised = self._denoise(features, masked, reference)
        faces, decoded = self._decode(latents)
        return faces, [heard, encoded, denoised, decoded, *self._restore(faces, reference)]

    def _hear(self, pcm: Tensor) -> tuple[Tensor, StageFigures]:
        pcm, encode = pcm.to(self._bundle.device), self._bundle.audio_encoder.encode
        self._warm_up(lambda: encode(pcm[:SAMPLE_RATE]))
        with self._meter("hear") as reading:
            features = encode(pcm)
        frames = len(pcm) / SAMPLE_RATE * CLIP_FPS
        cost = count_cost(encode, pcm, compute=True).times(1 / frames)
        return features, StageFigures("hear", reading, frames, "frames of 1/25 s", 1, cost, "float32")

    def _encode(self) -> tuple[Tensor, Tensor, StageFigures]:
        clip, vae, mask = self._clip, self._bundle.vae, self._bundle.mask
        count = 1 if self._sampling.is_brief else self._window * self._sampling.windows
        pixels = self._generator.to_pixels(clip.crops[:count])
        shown = pixels if clip.references is None else self._generator.to_pixels(clip.references[:count])
        self._warm_up(lambda: encode_to_latents(vae, pixels[:AUTOENCODER_BATCH]))
        with self._meter("encode") as reading:
            masked, reference = (
                torch.cat([encode_to_latents(vae, part) for part in each.split(AUTOENCODER_BATCH)])
                for each in (pixels * mask, shown)
            )
        batch = min(count, AUTOENCODER_BATCH)
        cost = count_cost(lambda x: vae.encode(x).latent_dist.mean, pixels[:batch].to(self._bundle.dtype))
        per_frame = 2 * self._window / self._finished
        figures = self._figures("encode", reading, 2 * count, "pictures", per_frame, cost.times(1 / batch))
        return masked, reference, figures

    def _denoise(self, features: Tensor, masked: Tensor, reference: Tensor) -> tuple[Tensor, StageFigures]:
        bundle, window, brief = self._bundle, self._window, self._sampling.is_brief
        if brief:  # one picture was encoded; what the pictures show makes no difference to the time
            masked, reference = (each.expand(window, -1, -1, -1) for each in (masked, reference))
        steps, guidance = (1, 1.0) if brief else (self._denoising.steps, self._denoising.guidance)
        factor = spatial_factor(bundle.vae)
        mask = mask_at_latents(bundle.mask, factor)
        channels, side = masked.shape[1], masked.shape[-1]
        noise = shared_noise(channels, side, side, self._denoising.seed)
        audio = cut_audio_windows(features, window, bundle.config.audio_context_frames)

        def one_window(number: int, steps: int) -> Tensor:
            frames = slice(number * window, (number + 1) * window)
            masked_clip, reference_clip = (
                rearrange(each[frames].to(bundle.dtype), "f c h w -> 1 c f h w") for each in (masked, reference)
            )
            return denoise(
                bundle.unet,
                bundle.scheduler,
                noise=noise,
                mask=mask,
                masked=masked_clip,
                reference=reference_clip,
                audio=audio,
                steps=steps,
                guidance=guidance,
                residual_reference=bundle.config.residual_reference,
            )

        windows = 1 if brief else self._sampling.windows
        self._warm_up(lambda: one_window(0, 1))
        with self._meter("denoise") as reading:
            latents = torch.cat([one_window(number, steps)[0] for number in range(windows)], dim=1)
        copies = 2 if is_guided(guidance) else 1
        missing = (2 if is_guided(self._denoising.guidance) else 1) / copies
        passes_per_frame = self._denoising.steps * missing / self._finished
        cost = self._cost_of_pass(copies, channels, side, audio)
        unit = f"passes of {window} frames" + (", with and without sound at once" if copies == 2 else "")
        figures = self._figures("denoise", reading, windows * steps, unit, passes_per_frame, cost)
        return rearrange(latents, "c f h w -> f c h w"), figures

    def _cost_of_pass(self, copies: int, channels: int, side: int, audio: Tensor) -> Cost:
        """Of one call of the U-Net: a window, twice if guided."""
        shape = (copies, 3 * channels + 1, len(audio), side, side)
        sample = torch.zeros(shape, dtype=self._bundle.dtype, device=self._bundle.device)
        tokens = audio[None].to(sample).expand(copies, -1, -1, -1).contiguous()
        timestep = torch.tensor(500, device=sample.device)
        return count_cost(self._bundle.unet, sample, timestep, tokens)

    def _decode(self, latents: Tensor) -> tuple[list[Crop], StageFigures]:
        latents = latents[:2] if self._sampling.is_brief else latents
        self._warm_up(lambda: self._generator.decode(latents[:AUTOENCODER_BATCH]))
        with self._meter("decode") as reading:
            faces = self._generator.decode(latents)
        return faces, self._figures("decode", reading, len(faces), "pictures", 1, self._cost_of_decoding(latents))

    def _cost_of_decoding(self, latents: Tensor) -> Cost:
        part = latents[:AUTOENCODER_BATCH].to(self._bundle.dtype)
        return count_cost(lambda x: decode_latents(self._bundle.vae, x), part).times(1 / len(part))

    def _restore(self, faces: list[Crop], reference: Tensor) -> list[StageFigures]:
        if self._clip.references is None:
            return []
        count = min(len(faces), len(reference))
        references = self._clip.references[:count]
        with self._meter("detail") as reading:
            coded = self._generator.reconstruct(references[0])
            for face, given in zip(faces, references, strict=False):
                restore_detail(face, given, coded)
        cost = self._cost_of_decoding(reference[:count]).times(1 / count)
        return [self._figures("detail", reading, count, "pictures", 1, cost)]

    def _figures(self, stage: str, reading: Any, units: float, unit: str, per_frame: float, cost: Cost) -> StageFigures:
        return StageFigures(stage, reading, units, unit, per_frame, cost, self._dtype, self._sampling.is_brief)

    def _warm_up(self, work: Callable[[], Any]) -> None:
        if self._sampling.warm_up:
            work()
