"""Latents of prepared clips, computed once: the U-Net then trains without the autoencoder.

A variant is one look of a clip (`looks.py`), the same for all its frames so that any of them can be the reference of
any other. Variant 0 is the clip as it is.
"""

import hashlib
import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from latentsync_core.diffusion.latents import Autoencoder
from latentsync_core.face.head_pose import head_points, pose_distance, turn_head
from latentsync_core.training.cache_key import cache_key
from latentsync_core.training.face_clips import FaceClip
from latentsync_core.training.looks import LOOKS_VERSION, change_look, look_generator, paint_lips

log = logging.getLogger(__name__)

REFERENCE_CANDIDATES = 3  # frames


@dataclass(frozen=True)
class LatentClip:
    """Cached latents of some frames of one clip in one variant."""

    path: Path
    clip: FaceClip
    variant: int = 0

    @cached_property
    def _arrays(self) -> dict[str, NDArray[np.generic]]:
        with np.load(self.path) as file:
            return dict(file)

    @property
    def frames(self) -> NDArray[np.int64]:
        """(N,) indices of the cached frames in the clip, increasing."""
        return self._arrays["frames"]  # type: ignore[return-value]

    @property
    def latents(self) -> NDArray[np.float16]:
        """(N, C, h, w) diffusion latents of the whole crop."""
        return self._arrays["latents"]  # type: ignore[return-value]

    @property
    def masked(self) -> NDArray[np.float16]:
        """(N, C, h, w) diffusion latents of the crop, or of its surroundings, with the mask's hole grey."""
        return self._arrays["masked"]  # type: ignore[return-value]

    @property
    def references(self) -> NDArray[np.float16]:
        """(N, C, h, w) diffusion latents of another frame's crop, its head turned as in the frame."""
        return self._arrays["references"]  # type: ignore[return-value]

    def pictures(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """(F, R, R, 3) RGB of which `latents[positions]` are the latents."""
        return show_frames(self.clip, self.frames[positions], self.variant)


def show_frames(clip: FaceClip, frames: NDArray[np.int64], variant: int) -> NDArray[np.uint8]:
    """Crops (N, R, R, 3) RGB of the clip's frames (N,) in one look."""
    name = clip.folder.name
    return change_look(paint_lips(np.asarray(clip.crops[frames]), clip.mesh[frames], variant, name), variant, name)


def cache_latents(
    clips: list[FaceClip],
    folder: Path,
    vae: Autoencoder,
    mask: Tensor,
    variant: int,
    frame_stride: int,
    frames_at_most: int,
    one_reference: bool,
    other_surroundings: float = 0.0,
) -> list[LatentClip]:
    """Encode frames `variant % stride, + stride, ...` of every clip, skipping what is there already.

    Args:
        folder: of the cache; one .npz per clip and variant, named after everything it depends on.
        mask: (1, 1, R, R) float, 1 = keep, 0 = generate.
        frame_stride: every n-th frame.
        frames_at_most: of one clip, the first ones.
        one_reference: the same frame of a clip is the reference of all others, not one for each.
        other_surroundings: share of the frames around whose hole another frame is shown, see `draw_surroundings`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mask_digest = hashlib.sha256(mask.numpy().tobytes()).hexdigest()
    facts = (
        weights_digest(vae),
        mask_digest,
        frame_stride,
        frames_at_most,
        one_reference,
        LOOKS_VERSION if variant else 0,
        *([other_surroundings] if other_surroundings else []),
    )
    cached = []
    for clip in clips:
        key = cache_key([clip.folder / "crops.npy", clip.folder / "mesh.npy"], *facts)
        path = folder / f"{clip.folder.name}.{variant}.{key}.npz"
        if not path.exists():
            frames = np.arange(variant % frame_stride, clip.num_frames, frame_stride)[:frames_at_most]
            crops = show_frames(clip, frames, variant)
            references = change_look(draw_references(clip, frames, variant, one_reference), variant, clip.folder.name)
            surroundings = draw_surroundings(clip, frames, variant, crops, other_surroundings)
            unfinished = path.with_suffix(".tmp.npz")
            np.savez(
                unfinished,
                frames=frames,
                latents=_encode_frames(vae, crops),
                masked=_encode_frames(vae, surroundings, mask),
                references=_encode_frames(vae, references),
            )
            unfinished.rename(path)
        cached.append(LatentClip(path, clip, variant))
    return cached


def weights_digest(model: torch.nn.Module | Autoencoder) -> str:
    """A short digest of a model's weights."""
    digest = hashlib.sha256()
    for tensor in model.state_dict().values():
        digest.update(tensor.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def draw_references(clip: FaceClip, frames: NDArray[np.int64], variant: int, one_reference: bool) -> NDArray[np.uint8]:
    """Draw a reference face (N, R, R, 3) for each of the frames (N,): another frame's, in this frame's pose.

    The variant's lips are painted; the rest of its look is left to `change_look`.

    Of REFERENCE_CANDIDATES random frames the one turned most alike is taken, as the pipeline takes one for each pose.
    """
    return _draw_in_pose(clip, frames, variant, "reference", one_reference)


def draw_surroundings(
    clip: FaceClip, frames: NDArray[np.int64], variant: int, crops: NDArray[np.uint8], share: float
) -> NDArray[np.uint8]:
    """What is to be seen around the hole (N, R, R, 3): of some frames another frame, turned into their pose.

    Cheeks and folds tell how wide the mouth was open. A U-Net that always sees those of the very frame learns to read
    the old mouth from them, and shows it again when it hears another's speech.

    Args:
        crops: (N, R, R, 3) the frames themselves in this variant's look.
        share: of the frames that get another's surroundings, 0..1.
    """
    generator = look_generator(clip.folder.name, variant, "surroundings")
    other = np.flatnonzero(generator.random(len(frames)) < share)
    if not len(other):
        return crops
    surroundings = crops.copy()
    drawn = _draw_in_pose(clip, frames[other], variant, "other surroundings", one_for_all=False)
    surroundings[other] = change_look(drawn, variant, clip.folder.name)
    return surroundings


def _draw_in_pose(
    clip: FaceClip, frames: NDArray[np.int64], variant: int, purpose: str, one_for_all: bool
) -> NDArray[np.uint8]:
    generator = look_generator(clip.folder.name, variant, purpose)
    points = head_points(clip.mesh.astype(np.float64))
    candidates = generator.integers(clip.num_frames, size=(len(frames), REFERENCE_CANDIDATES))
    if one_for_all:
        candidates = np.broadcast_to(candidates[:1], candidates.shape)
        nearest = pose_distance(points[candidates], points[frames][:, None]).mean(0).argmin().repeat(len(frames))
    else:
        nearest = pose_distance(points[candidates], points[frames][:, None]).argmin(1)
    chosen = candidates[np.arange(len(frames)), nearest]
    painted = paint_lips(np.asarray(clip.crops[chosen]), clip.mesh[chosen], variant, clip.folder.name)
    return np.stack(
        [
            turn_head(picture, points[other], points[frame])
            for picture, other, frame in zip(painted, chosen, frames, strict=True)
        ]
    )


@torch.no_grad()
def _encode_frames(
    vae: Autoencoder, frames: NDArray[np.uint8], mask: Tensor | None = None, batch_size: int = 16
) -> NDArray[np.float16]:
    encoded = []
    for batch in np.array_split(frames, max(1, len(frames) // batch_size)):
        pixels = rearrange(torch.from_numpy(batch).float() / 127.5 - 1, "n h w c -> n c h w")
        shown = pixels if mask is None else pixels * mask
        with torch.autocast(vae.device.type, torch.bfloat16):
            seen = shown.to(vae.device, memory_format=torch.channels_last)
            latents = vae.encode(seen).latent_dist.mean.float()
        shift = vae.config.get("shift_factor") or 0.0  # Stable Diffusion's autoencoder has none
        encoded.append(((latents - shift) * vae.config["scaling_factor"]).half().cpu().numpy())
    return np.concatenate(encoded)
