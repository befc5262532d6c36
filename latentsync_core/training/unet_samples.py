"""Sample videos of a U-Net in training: held-out clips above what it makes of them, with their sound.

The mouths come from the denoising loop and the decoder; nothing else of the pipeline (tracking, pasting back) is at
work, so they are what the network is worth.
"""

import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor, nn

from latentsync_core.media.color import BT709
from latentsync_core.media.mux import join_segments
from latentsync_core.media.probe import probe_media
from latentsync_core.media.video_writer import VideoWriter
from latentsync_core.training.face_clips import SAMPLE_RATE, VIDEO_FPS
from latentsync_core.training.held_out_clips import HeldOutClip
from latentsync_core.training.runs import SAMPLES
from latentsync_core.training.unet_generation import WindowGenerator
from latentsync_core.training.unet_recipe import UNetRecipe

FRAMES_WITHOUT_TIME = 16  # at once, for a network without temporal layers


class SampleVideos:
    """Writes the videos of a run into its `samples/`, `step_XXXXXXXX_CLIP.mp4`.

    Args:
        clips: of held-out people; as many as the recipe says, evenly chosen, become videos.
        generator: of windows.
    """

    def __init__(self, recipe: UNetRecipe, clips: list[HeldOutClip], generator: WindowGenerator) -> None:
        count = min(recipe.validation.sample_clips, len(clips))
        self._clips = [clips[number * len(clips) // count] for number in range(count)]
        self._recipe, self._generator = recipe, generator

    def write(self, unet: nn.Module, step: int) -> list[Path]:
        """Write all of them; leaves the network's mode as it was.

        Raises:
            EncodingFailed: if ffmpeg cannot.
        """
        folder = self._recipe.run_dir / SAMPLES
        if self._clips:
            folder.mkdir(parents=True, exist_ok=True)
        was_training = unet.training
        unet.eval()
        paths = []
        try:
            for clip in self._clips:
                paths.append(folder / f"step_{step:08d}_{clip.latents.clip.folder.name}.mp4")
                write_video(paths[-1], self._frames(unet, clip), clip.latents.clip.pcm)
        finally:
            unet.train(was_training)
        return paths

    def _frames(self, unet: nn.Module, clip: HeldOutClip) -> NDArray[np.uint8]:
        """Real frames above generated ones, (F, 2 R, R, 3): whole windows, one at least."""
        wanted = min(clip.num_frames, round(self._recipe.validation.sample_seconds * VIDEO_FPS))
        length = self._recipe.window_frames
        if length == 1:
            length = min(wanted, FRAMES_WITHOUT_TIME)
        pairs = []
        for start in range(0, max(1, wanted // length) * length, length):
            window = clip.window(start, length, with_pictures=True)
            assert window.pictures is not None
            shown = self._generator.show(self._generator.latents(unet, window), window.pictures)
            pairs.append(torch.cat([window.pictures, shown.cpu()], dim=-2))
        return _to_levels(torch.cat(pairs, dim=2)[0])


def write_video(out: Path, frames: NDArray[np.uint8], pcm: NDArray[np.float32]) -> None:
    """Write frames (F, H, W, 3) at 25 fps with the sound (N,) at 16 kHz that begins with them.

    Raises:
        EncodingFailed: if ffmpeg cannot.
    """
    fps = Fraction(VIDEO_FPS)
    samples = len(frames) * SAMPLE_RATE // VIDEO_FPS
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        picture, sound = Path(folder) / "picture.mp4", Path(folder) / "sound.wav"
        with VideoWriter(picture, (frames.shape[2], frames.shape[1]), fps, BT709) as writer:
            for frame in frames:
                writer.write(frame)
        soundfile.write(sound, np.pad(pcm[:samples], (0, max(0, samples - len(pcm)))), SAMPLE_RATE)
        join_segments([picture], probe_media(sound), out, num_frames=len(frames), fps=fps)


def _to_levels(pictures: Tensor) -> NDArray[np.uint8]:
    """(3, F, H, W) in [-1, 1] -> (F, H, W, 3) uint8."""
    levels = ((pictures + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return rearrange(levels, "c f h w -> f h w c").numpy()
