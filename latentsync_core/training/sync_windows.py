"""What SyncNet learns from: windows of consecutive frames with their own sound, or with another instant's.

arXiv:2412.09262, section 3.3: one half of the windows is in sync, the other half hears another instant of the same
clip. An item is a pure function of its index and the seed, so the position in the data is one number.

Where a step costs much and data is little, `per_clip` windows of one clip can follow each other, all in sync: compared
each with the others' sounds (losses/sync_loss.py), so many windows give their square of comparisons. That is ours.
"""

import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, cast

import cv2
import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from latentsync_core.audio.mel import MELS_PER_SECOND, VIDEO_FPS, mel_window_length, syncnet_mel
from latentsync_core.diffusion.latents import Autoencoder, encode_to_latents
from latentsync_core.errors import UnreadableMedia
from latentsync_core.training.cache_key import cache_key
from latentsync_core.training.face_clips import FaceClip, clip_weights
from latentsync_core.training.losses.mouth_loss import MEASURES, mouth_measures
from latentsync_core.training.window_changes import change_mel, change_pictures

log = logging.getLogger(__name__)

ENCODED_AT_ONCE = 16  # frames
NO_MOUTH = np.empty((0, MEASURES), np.float32)


@dataclass(frozen=True)
class SyncClip:
    """A clip as SyncNet's training reads it; the arrays are mapped from disk when first used.

    Attributes:
        clip: the prepared clip.
        pictures_path: cached lower halves; None = the clip's own crops have the wanted size.
        mel_path: cached mel of the whole clip.
    """

    clip: FaceClip
    pictures_path: Path | None
    mel_path: Path

    @cached_property
    def pictures(self) -> NDArray[np.generic]:
        """(F, C, h, w) lower halves: RGB in uint8, or latents in float16."""
        if self.pictures_path is not None:
            return np.load(self.pictures_path, mmap_mode="r")
        return rearrange(lower_half(self.clip.crops), "f h w c -> f c h w")

    @cached_property
    def mel(self) -> NDArray[np.float32]:
        """(80, T) in [-4, 4] at 80 per second."""
        return np.load(self.mel_path, mmap_mode="r")

    @cached_property
    def mouth(self) -> NDArray[np.float32]:
        """(F, 4) measures of the mouth."""
        return mouth_measures(self.clip.mesh)

    def count_starts(self, num_frames: int) -> int:
        """How many windows the clip has, whole in picture and sound; the first frame of the first one is 0."""
        spare_columns = self.mel.shape[1] - mel_window_length(num_frames)
        by_sound = (VIDEO_FPS * (spare_columns + 1) - 1) // MELS_PER_SECOND  # the last frame whose column is not later
        return max(0, min(self.clip.num_frames - num_frames, by_sound) + 1)


class SyncItem(NamedTuple):
    """A window, or a batch of them with an axis in front.

    Attributes:
        frames: (F * C, h, w), frame-major; RGB in [-1, 1] or latents.
        mel: (1, 80, M) in [-4, 4].
        label: () 1 = the sound is that of the frames, 0 = of another instant.
        mouth: (F, 4) of the frames, see losses/mouth_loss.py; 0 frames where it is not asked for.
    """

    frames: Tensor
    mel: Tensor
    label: Tensor
    mouth: Tensor


class SyncWindows(Dataset[SyncItem]):
    """Windows without end; even indices are in sync, odd ones are not. With `per_clip` above 1 all are in sync.

    Args:
        clips: at least one with two windows.
        num_frames: of a window.
        seed: of everything that is drawn.
        min_shift: frames at least between a window and the instant of its wrong sound.
        augment: change pictures and sound (window_changes.py); latents stay as they are.
        generated_weight: of generated footage among real one.
        per_clip: windows of one clip in a row, each `min_shift` frames at least from the others.
        with_mouth: measure the mouths too.
    """

    def __init__(
        self,
        clips: list[SyncClip],
        num_frames: int,
        seed: int,
        min_shift: int = 1,
        augment: bool = False,
        generated_weight: float = 0.5,
        per_clip: int = 1,
        with_mouth: bool = False,
    ) -> None:
        needed = max(2, per_clip) * min_shift
        long_enough = [clip for clip in clips if clip.count_starts(num_frames) >= needed]
        if not long_enough:
            raise UnreadableMedia(f"none of {len(clips)} clips has {needed} windows of {num_frames} frames")
        if len(long_enough) < len(clips):
            log.warning("%d of %d clips are too short", len(clips) - len(long_enough), len(clips))
        self.clips, self._num_frames, self._seed = long_enough, num_frames, seed
        self._min_shift, self._augment, self._per_clip = min_shift, augment, per_clip
        self._with_mouth = with_mouth
        self._weights = clip_weights([clip.clip for clip in long_enough], generated_weight)

    @property
    def picture(self) -> tuple[int, int, int]:
        """(channels, height, width) of one frame."""
        channels, height, width = self.clips[0].pictures.shape[1:]
        return channels, height, width

    def __getitem__(self, index: int) -> SyncItem:
        generator = np.random.default_rng([self._seed, index])
        if self._per_clip > 1:
            clip, start = self._one_of_several(index)
            heard, is_in_sync = start, True
        else:
            clip = self._draw_clip(generator)
            start = heard = int(generator.integers(clip.count_starts(self._num_frames)))
            is_in_sync = index % 2 == 0
            if not is_in_sync:
                heard = self._another_instant(clip, start, generator)
        first = heard * MELS_PER_SECOND // VIDEO_FPS
        window = np.asarray(clip.pictures[start : start + self._num_frames])
        mel = np.array(clip.mel[:, first : first + mel_window_length(self._num_frames)])
        if self._augment:
            mel = change_mel(mel, generator)
        if window.dtype != np.uint8:
            frames = window.astype(np.float32)
        else:
            frames = change_pictures(window, generator) if self._augment else as_signal(window)
        return SyncItem(
            torch.from_numpy(rearrange(frames, "f c h w -> (f c) h w")),
            torch.from_numpy(mel)[None],
            torch.tensor(float(is_in_sync)),
            torch.from_numpy(clip.mouth[start : start + self._num_frames] if self._with_mouth else NO_MOUTH),
        )

    def _draw_clip(self, generator: np.random.Generator) -> SyncClip:
        return self.clips[generator.choice(len(self.clips), p=self._weights)]

    def _another_instant(self, clip: SyncClip, start: int, generator: np.random.Generator) -> int:
        starts = clip.count_starts(self._num_frames)
        others = np.r_[: max(0, start - self._min_shift + 1), start + self._min_shift : starts]
        return int(generator.choice(others))

    def _one_of_several(self, index: int) -> tuple[SyncClip, int]:
        """The clip of this index and its neighbours, and the start of this one among theirs."""
        count, gap = self._per_clip, self._min_shift - 1
        generator = np.random.default_rng([self._seed, index // count, count])
        clip = self._draw_clip(generator)
        spared = clip.count_starts(self._num_frames) - (count - 1) * gap  # drawn without the gaps, then spread by them
        starts = np.sort(generator.choice(spared, count, replace=False)) + gap * np.arange(count)
        return clip, int(starts[index % count])


def as_signal(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Bring 0..255 to [-1, 1]."""
    signal: NDArray[np.float32] = frames / np.float32(127.5)
    signal -= 1
    return signal


def lower_half(pictures: NDArray[np.generic]) -> NDArray[np.generic]:
    """The lower half (F, R / 2, R, C) of pictures (F, R, R, C)."""
    return pictures[:, pictures.shape[1] // 2 :]


def open_sync_clips(
    clips: list[FaceClip], cache_dir: Path, resolution: int, vae: Autoencoder | None = None
) -> list[SyncClip]:
    """Check every clip, and cache its mel and its pictures unless they are there already.

    Args:
        cache_dir: one file per clip, named after everything that it depends on.
        resolution: of the whole aligned face, pixels; the crops' own needs no cache.
        vae: encodes the faces; the lower half of their latents is cached. None = pixels.

    Raises:
        UnreadableMedia: naming the clip that is broken.
    """
    cache_dir.mkdir(parents=True, exist_ok=True)
    space = "pixel"
    if vae is not None:
        from latentsync_core.training.latent_cache import weights_digest  # which loads diffusers: seconds

        space = weights_digest(cast(nn.Module, vae))
    opened = []
    for clip in clips:
        _refuse_broken(clip)
        pictures_path = None
        if vae is not None or clip.crops.shape[1] != resolution:
            pictures_path = (
                cache_dir / f"{clip.folder.name}.{cache_key([clip.folder / 'crops.npy'], resolution, space)}.npy"
            )
            if not pictures_path.exists():
                _save(pictures_path, _see(clip, resolution, vae))
        mel_path = cache_dir / f"{clip.folder.name}.{cache_key([clip.folder / 'pcm.npy'])}.mel.npy"
        if not mel_path.exists():
            _save(mel_path, syncnet_mel(torch.from_numpy(clip.pcm)).numpy())
        opened.append(SyncClip(clip, pictures_path, mel_path))
    return opened


def _refuse_broken(clip: FaceClip) -> None:
    try:
        crops, samples = clip.crops, len(clip.pcm)
    except (OSError, ValueError, EOFError) as error:
        raise UnreadableMedia(f"{clip.folder}: broken ({error}); prepare it again or remove it") from error
    is_square = crops.ndim == 4 and crops.shape[1] == crops.shape[2] and crops.shape[3] == 3
    if not is_square or crops.dtype != np.uint8 or len(crops) != clip.num_frames or samples == 0:
        raise UnreadableMedia(
            f"{clip.folder}: crops.npy is {crops.dtype} {crops.shape}, pcm.npy has {samples} samples, meta.json names "
            f"{clip.num_frames} frames; prepare it again or remove it"
        )


def _save(path: Path, array: NDArray[np.generic]) -> None:
    unfinished = path.with_suffix(".tmp.npy")
    np.save(unfinished, array)
    unfinished.replace(path)


@torch.no_grad()
def _see(clip: FaceClip, resolution: int, vae: Autoencoder | None) -> NDArray[np.generic]:
    """(F, C, h, w): lower halves in uint8 at the resolution, or of the latents in float16."""
    if vae is None:
        size = (resolution, resolution // 2)
        halves = [cv2.resize(half, size, interpolation=cv2.INTER_AREA) for half in lower_half(clip.crops)]
        return rearrange(np.stack(halves), "f h w c -> f c h w")
    size = (resolution, resolution)
    same = clip.crops.shape[1] == resolution
    faces = [face if same else cv2.resize(face, size, interpolation=cv2.INTER_AREA) for face in clip.crops]
    generator = torch.Generator(vae.device).manual_seed(0)  # of the encoder's samples
    latents = []
    for first in range(0, len(faces), ENCODED_AT_ONCE):
        batch = torch.from_numpy(np.stack(faces[first : first + ENCODED_AT_ONCE])).float() / 127.5 - 1
        encoded = encode_to_latents(vae, rearrange(batch, "n h w c -> n c h w").contiguous(), generator)
        latents.append(encoded[:, :, encoded.shape[2] // 2 :].half().cpu().numpy())
    return np.concatenate(latents)
