"""Frames beside the latents that a bundle's U-Net makes of them, so that a decoder can learn what it will be given.

The U-Net hears the true lip shape in place of the predicted one: its mouth is then that of the frame, as it would draw
it. Everything else is as in use: the denoising loop, guidance, one other frame as the reference.
"""

import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from einops import repeat
from numpy.typing import NDArray
from torch import Tensor

from latentsync_core.audio.audio_windows import FEATURES_PER_FRAME
from latentsync_core.audio.mel_audio_encoder import SHAPE_GAIN, MelAudioEncoder
from latentsync_core.bundle import Bundle
from latentsync_core.diffusion.latents import encode_to_latents
from latentsync_core.errors import BadOption
from latentsync_core.mouth_generator import Denoising, MouthGenerator
from latentsync_core.training.audio_cache import hear
from latentsync_core.training.cache_key import cache_key
from latentsync_core.training.face_clips import VIDEO_FPS, FaceClip
from latentsync_core.training.latent_cache import draw_references, show_frames, weights_digest
from latentsync_core.training.lip_shape import LipShapeBasis
from latentsync_core.training.looks import LOOKS_VERSION, change_look, look_generator

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GeneratedFaces:
    """One window of consecutive frames of a clip in one look."""

    path: Path
    clip: FaceClip
    variant: int

    @cached_property
    def _arrays(self) -> dict[str, NDArray[np.generic]]:
        with np.load(self.path) as file:
            return dict(file)

    @property
    def own(self) -> NDArray[np.float16]:
        """(F, C, h, w) diffusion latents of the frames themselves."""
        return self._arrays["own"]  # type: ignore[return-value]

    @property
    def generated(self) -> NDArray[np.float16]:
        """(F, C, h, w) what the U-Net made of them."""
        return self._arrays["generated"]  # type: ignore[return-value]

    def pictures(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """(N, R, R, 3) RGB of the frames at these positions."""
        frames: NDArray[np.int64] = self._arrays["frames"]  # type: ignore[assignment]
        return show_frames(self.clip, frames[positions], self.variant)


def cache_generated(
    clips: list[FaceClip], folder: Path, bundle: Bundle, basis: LipShapeBasis, variants: int
) -> list[GeneratedFaces]:
    """Generate a window of every clip in every look, skipping what is there already; shorter clips are left out.

    Args:
        folder: of the cache; one .npz per window, named after everything it depends on.
        bundle: with an audio encoder that tells the shape of the lips.
        basis: of the shape that it tells.

    Raises:
        BadOption: if the bundle's audio encoder tells no lip shape.
    """
    if not isinstance(bundle.audio_encoder, MelAudioEncoder):
        raise BadOption(
            f"{bundle.name}: the true lip shape is to be heard, but its audio encoder is no MelAudioEncoder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    encoder = bundle.audio_encoder
    facts = (*(weights_digest(part) for part in (bundle.unet, bundle.vae, encoder)), str(bundle.config), LOOKS_VERSION)
    clips = [clip for clip in clips if clip.num_frames >= bundle.config.window_frames]
    cached = []
    for number, clip in enumerate(clips):
        for variant in range(variants):
            key = cache_key([clip.folder / "crops.npy", clip.folder / "mesh.npy"], variant, *facts)
            path = folder / f"{clip.folder.name}.{variant}.{key}.generated.npz"
            if not path.exists():
                unfinished = path.with_suffix(".tmp.npz")
                np.savez(unfinished, **_generate_window(clip, variant, bundle, encoder, basis))
                unfinished.rename(path)
            cached.append(GeneratedFaces(path, clip, variant))
        log.info("generated %d of %d clips", number + 1, len(clips))
    return cached


@torch.no_grad()
def _generate_window(
    clip: FaceClip, variant: int, bundle: Bundle, encoder: MelAudioEncoder, basis: LipShapeBasis
) -> dict[str, NDArray[np.generic]]:
    config = bundle.config
    generator = look_generator(clip.folder.name, variant, "generated window")
    start = int(generator.integers(0, clip.num_frames - config.window_frames + 1))
    frames = np.arange(start, start + config.window_frames)
    crops = show_frames(clip, frames, variant)
    references = change_look(draw_references(clip, frames, variant, True), variant, clip.folder.name)
    states = hear_true_shape(clip, encoder, basis)
    mouths = MouthGenerator(bundle, states, Denoising(config.default_steps, config.default_guidance, seed=variant))
    generated, _ = mouths.denoise_block(
        list(crops),
        (frames / VIDEO_FPS).tolist(),
        [range(len(frames))],
        first_frame=start,
        references=list(references),
        on_step=lambda: None,
    )
    own = encode_to_latents(bundle.vae, mouths.to_pixels(list(crops)))
    halves = {"own": own, "generated": generated}
    return {"frames": frames, **{name: latents.half().cpu().numpy() for name, latents in halves.items()}}


def hear_true_shape(clip: FaceClip, encoder: MelAudioEncoder, basis: LipShapeBasis) -> Tensor:
    """Audio states of a clip (T, 1, D) whose last channels are the true lip shape."""
    states = hear(encoder, clip)
    shape = torch.from_numpy(basis.project(clip.mesh))
    told = repeat(SHAPE_GAIN * shape, "f k -> (f s) 1 k", s=FEATURES_PER_FRAME)[: len(states)]
    return torch.cat([states[: len(told), :, : -shape.shape[1]], told.to(states)], dim=-1)
