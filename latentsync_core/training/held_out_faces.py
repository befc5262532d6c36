"""What an autoencoder makes of people whom it never saw, while it learns: PSNR, and a picture to look at."""

from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from PIL import Image
from torch import Tensor

from latentsync_core.errors import UnreadableMedia
from latentsync_core.models.autoencoder import SpaceToDepthAutoencoder
from latentsync_core.training.face_clips import FaceClip, read_face_clips, refuse_shared_people

FRAMES_OF_A_CLIP = 2
SHOWN = 8  # faces in the picture


class HeldOutFaces:
    """Two frames of every real clip of split `val`, a third and two thirds through it; the same in every run.

    Args:
        data_dir: the prepared clips; without a real clip of split `val` there is nothing to measure.
        training: the clips that are learnt from.

    Raises:
        BadOption: naming whoever is in both splits.
    """

    def __init__(self, data_dir: Path, training: list[FaceClip]) -> None:
        try:
            clips = read_face_clips(data_dir, "val", ("real",))
        except UnreadableMedia:
            clips = []
        refuse_shared_people(training, clips)
        parts = range(1, FRAMES_OF_A_CLIP + 1)
        faces = [clip.crops[clip.num_frames * part // (FRAMES_OF_A_CLIP + 1)] for clip in clips for part in parts]
        self._faces = [
            torch.from_numpy(rearrange(np.asarray(face, np.float32) / 127.5 - 1, "h w c -> 1 c h w")) for face in faces
        ]

    @property
    def count(self) -> int:
        """Of the faces; 0 where split `val` has no real clip."""
        return len(self._faces)

    @torch.no_grad()
    def measure(self, vae: SpaceToDepthAutoencoder) -> dict[str, float]:
        """Mean PSNR of the whole crops, dB."""
        errors = [(_through(vae, face) - face).square().mean().item() / 4 for face in self._faces]
        return {"psnr": float(np.mean([-10 * np.log10(error + 1e-12) for error in errors]))}

    @torch.no_grad()
    def write_sample(self, vae: SpaceToDepthAutoencoder, out: Path) -> None:
        """A PNG: real faces above what comes out."""
        shown = self._faces[:: max(1, len(self._faces) // SHOWN)][:SHOWN]
        columns = [torch.cat([face, _through(vae, face)], dim=-2) for face in shown]
        levels = ((torch.cat(columns, dim=-1)[0] + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        out.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rearrange(levels, "c h w -> h w c").numpy()).save(out)


def _through(vae: SpaceToDepthAutoencoder, face: Tensor) -> Tensor:
    """Encoded and decoded, (1, 3, H, W) on the processor."""
    latents = vae.encode(face.to(vae.device)).latent_dist.mean
    decoded: Tensor = vae.decode(latents).sample
    return decoded.float().cpu()
