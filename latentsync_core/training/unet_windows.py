"""What the U-Net learns from: windows of cached latents with their sound, a pure function of step and seed."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import cast

import numpy as np
import torch
from einops import rearrange, repeat
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from latentsync_core.audio.audio_encoder import AudioEncoder
from latentsync_core.audio.audio_windows import FEATURES_PER_SECOND, cut_audio_windows
from latentsync_core.audio.mel import cut_mel_window, syncnet_mel
from latentsync_core.audio.mel_audio_encoder import SHAPE_GAIN, MelAudioEncoder
from latentsync_core.diffusion.latents import Autoencoder
from latentsync_core.errors import BadOption
from latentsync_core.training.audio_cache import CachedAudio, cache_audio
from latentsync_core.training.face_clips import SAMPLE_RATE, VIDEO_FPS, FaceClip, clip_weights
from latentsync_core.training.latent_cache import LatentClip, cache_latents, weights_digest
from latentsync_core.training.lip_shape import fit_lip_shape
from latentsync_core.training.quiet_rooms import closed_frames, hear_rooms
from latentsync_core.training.unet_recipe import UNetRecipe

log = logging.getLogger(__name__)

SOUND_VARIANTS = 3  # of each clip's sound: as it is, and two with another loudness and some noise


@dataclass(frozen=True)
class Batch:
    """B windows of F frames.

    Attributes:
        target, masked, reference: latents (B, C, F, h, w).
        audio: tokens (B, F, S, D), zeros where the sound was dropped.
        pictures: (B, 3, F, R, R) the real frames in [-1, 1]; None where no loss looks at them.
        mel: (B, 1, 80, M) from the first frame on, see `latentsync_core.audio.mel`; None with `pictures`.
    """

    target: Tensor
    masked: Tensor
    reference: Tensor
    audio: Tensor
    pictures: Tensor | None = None
    mel: Tensor | None = None

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device."""
        tensors = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: tensor.to(device) for name, tensor in tensors.items() if tensor is not None})


class WindowSampler:
    """Draws windows of cached frames and their references.

    Args:
        clips: of all variants; those shorter than a window are left out.
        audio: by clip's folder name, variants of its sound.
        shapes: by clip's folder name, its true lip shape (F, K).
        mels: by clip's folder name, its mel (80, T), at least as long as the pictures: batches get mels and pictures.
        rooms: states (T, L, D) of quiet rooms, which closed lips hear in `quiet_share` of the windows.
    """

    def __init__(
        self,
        clips: list[LatentClip],
        audio: dict[str, list[CachedAudio]],
        shapes: dict[str, NDArray[np.float32]],
        recipe: UNetRecipe,
        mels: Mapping[str, Tensor] | None = None,
        rooms: Sequence[Tensor] = (),
    ) -> None:
        self.clips = [clip for clip in clips if len(clip.frames) >= max(2, recipe.window_frames)]
        self.audio = audio
        self.shapes = shapes
        self.recipe = recipe
        self.mels = mels
        self.rooms = rooms
        self.weights = clip_weights([clip.clip for clip in self.clips], recipe.generated_weight)

    @property
    def num_tokens(self) -> int:
        """S, tokens that a frame hears."""
        (first, *_), *_ = self.audio.values()
        return first.windows(np.zeros(1, np.int64), self.recipe.context_frames).shape[1]

    def batch(self, number: int) -> Batch:
        """The windows of one batch, a function of its number and the recipe's seed."""
        generator = np.random.default_rng([self.recipe.seed, number])
        chosen = generator.choice(len(self.clips), self.recipe.batch_size, p=self.weights)
        windows = [self._window(self.clips[index], generator) for index in chosen]
        return Batch(*(torch.stack(parts) for parts in zip(*windows, strict=True)))

    def _window(self, clip: LatentClip, generator: np.random.Generator) -> tuple[Tensor, ...]:
        length = self.recipe.window_frames
        start = int(generator.integers(0, len(clip.frames) - length + 1))
        if self.rooms and generator.random() < self.recipe.quiet_share:
            closed = np.flatnonzero(closed_frames(clip.clip)[clip.frames])
            if len(closed):
                return self._quiet_window(clip, generator.choice(closed, 1), generator)
        chosen = np.arange(start, start + length)
        tracks = self.audio[clip.clip.folder.name]
        track = tracks[int(generator.integers(len(tracks)))]
        windows = track.windows(clip.frames[chosen], self.recipe.context_frames)
        if generator.random() < self.recipe.true_shape_share:
            windows = self._with_true_shape(windows, clip, chosen, generator)
        if generator.random() < self.recipe.audio_dropout:
            windows = torch.zeros_like(windows)
        return cut_window(clip, chosen, windows, None if self.mels is None else self.mels[clip.clip.folder.name])

    def _quiet_window(
        self, clip: LatentClip, chosen: NDArray[np.int64], generator: np.random.Generator
    ) -> tuple[Tensor, ...]:
        """A single frame, chosen (1,), that hears a quiet room."""
        room = self.rooms[int(generator.integers(len(self.rooms)))]
        seconds = [generator.uniform(0, len(room) / FEATURES_PER_SECOND)]
        audio = cut_audio_windows(room, seconds, self.recipe.context_frames)
        return cut_window(clip, chosen, audio, None if self.mels is None else self.mels[clip.clip.folder.name])

    def _with_true_shape(
        self, windows: Tensor, clip: LatentClip, chosen: NDArray[np.int64], generator: np.random.Generator
    ) -> Tensor:
        """Put the measured lip shape, with some noise, where the audio encoder's prediction stands (F, S, D).

        A prediction explains a third of a mouth's movement, the truth all of it: with it the U-Net learns in minutes
        what the numbers mean.
        """
        shape = self.shapes[clip.clip.folder.name][clip.frames[chosen]]  # (F, K)
        noisy = shape + self.recipe.true_shape_noise * generator.standard_normal((1, shape.shape[1]))
        states = repeat(torch.from_numpy(noisy).float(), "f k -> f s k", s=windows.shape[1])
        return torch.cat([windows[..., : -shape.shape[1]], SHAPE_GAIN * states], dim=-1)


def cut_window(
    clip: LatentClip, chosen: NDArray[np.int64], audio: Tensor, mel: Tensor | None = None
) -> tuple[Tensor, ...]:
    """The parts of a window's `Batch`, without the batch's axis.

    Args:
        chosen: (F,) positions among the clip's cached frames, consecutive.
        audio: (F, S, D) tokens.
        mel: (80, T) of the whole clip; None = neither pictures nor mel.
    """
    target, masked, reference = (
        rearrange(torch.from_numpy(array).float(), "f c h w -> c f h w")
        for array in (clip.latents[chosen], clip.masked[chosen], clip.references[chosen])
    )
    if mel is None:
        return target, masked, reference, audio
    pictures = rearrange(torch.from_numpy(clip.pictures(chosen)).float() / 127.5 - 1, "f h w c -> c f h w")
    mel_window = cut_mel_window(mel, int(clip.frames[chosen[0]]), len(chosen))
    assert mel_window is not None  # whole_mel reaches past the last picture
    return target, masked, reference, audio, pictures, mel_window[None]


def build_sampler(
    recipe: UNetRecipe, clips: list[FaceClip], vae: Autoencoder, mask: Tensor, encoder: AudioEncoder
) -> WindowSampler:
    """Cache the latents of all variants and the sound of all clips.

    Raises:
        BadOption: if the true lip shape is to be heard, but the states of the audio encoder have no place for it.
    """
    if recipe.true_shape_share and not isinstance(encoder, MelAudioEncoder):
        raise BadOption("true_shape_share is for a MelAudioEncoder, whose states end in the shape of the lips")
    latents: list[LatentClip] = []
    for variant in range(recipe.variants):
        latents += cache_latents(
            clips,
            recipe.cache_dir,
            vae,
            mask,
            variant,
            recipe.frame_stride,
            recipe.frames_per_clip,
            one_reference=recipe.window_frames > 1,
            other_surroundings=recipe.other_surroundings,
        )
        log.info("cached variant %d: %d clips", variant, len(clips))
    digest = weights_digest(cast(nn.Module, encoder))
    audio = {
        clip.folder.name: [
            cache_audio(clip, recipe.cache_dir, encoder, digest, variant) for variant in range(SOUND_VARIANTS)
        ]
        for clip in clips
    }
    shapes: dict[str, NDArray[np.float32]] = {}
    if recipe.true_shape_share:
        assert isinstance(encoder, MelAudioEncoder)
        basis = fit_lip_shape([clip.mesh for clip in clips], encoder.config["num_shape_components"] - 1)
        shapes = {clip.folder.name: basis.project(clip.mesh) for clip in clips}
    mels = {clip.folder.name: whole_mel(clip) for clip in clips} if recipe.losses.decoded else None
    rooms = hear_rooms(clips, encoder, recipe.seed) if recipe.quiet_share else ()
    return WindowSampler(latents, audio, shapes, recipe, mels, rooms)


def whole_mel(clip: FaceClip) -> Tensor:
    """The mel (80, T) of a clip, its sound continued by silence to the end of the pictures."""
    pcm = torch.from_numpy(clip.pcm)
    return syncnet_mel(functional.pad(pcm, (0, max(0, clip.num_frames * SAMPLE_RATE // VIDEO_FPS - len(pcm)))))
