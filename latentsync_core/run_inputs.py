"""What a run works on, all of it known before the first frame is decoded."""

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch

from latentsync_core.bundle import Bundle
from latentsync_core.media.color import is_hdr, result_tags
from latentsync_core.media.frame_grid import FrameGrid
from latentsync_core.media.probe import MediaInfo
from latentsync_core.media.video_writer import VideoWriter, even_size
from latentsync_core.mouth_generator import Denoising
from latentsync_core.options import LipSyncOptions
from latentsync_core.segments import describe_file
from latentsync_core.timeline import Timeline


@dataclass(frozen=True, eq=False)
class RunInputs:
    """The files, how they are laid over each other, and what the networks hear.

    Attributes:
        source, sound: the files.
        grid: the source's frames.
        timeline: the result's frames.
        features: (T, L, D) audio features, 50 per second.
    """

    source: MediaInfo
    sound: MediaInfo
    grid: FrameGrid
    timeline: Timeline
    features: torch.Tensor

    def writer_opener(self, size: tuple[int, int]) -> Callable[[Path], VideoWriter]:
        """Give what opens a segment's encoder for frames of this size, in the source's rate and colours."""
        video = self.source.require_video()

        def open_writer(path: Path) -> VideoWriter:
            return VideoWriter(path, size, self.timeline.fps, result_tags(video), video.sample_aspect_ratio)

        return open_writer

    def warnings(self) -> list[str]:
        """Say where the result must differ from the source."""
        video = self.source.require_video()
        warnings = []
        if is_hdr(video):
            warnings.append("the source is HDR; the result is tone-mapped to standard range (BT.709)")
        if "10" in video.pix_fmt or "12" in video.pix_fmt:
            warnings.append(f"the source has more than 8 bits per colour ({video.pix_fmt}); the result has 8")
        if self.grid.is_resampled:
            fps = float(self.grid.fps)
            warnings.append(f"the source has a variable or unusual frame rate; the result has {fps:.3f} fps")
        if even_size(video.width, video.height) != (video.width, video.height):
            warnings.append("H.264 needs even sides; the last column or row of the odd-sized source is doubled")
        return warnings

    def facts(self, bundle: Bundle, options: LipSyncOptions, denoising: Denoising) -> dict[str, Any]:
        """Give everything the frames depend on, ready for JSON: if two runs agree here, so do their segments."""
        return {
            "video": describe_file(self.source.path),
            "audio": describe_file(self.sound.path),
            "options": options.to_dict(),
            "denoising": asdict(denoising),
            "bundle": asdict(bundle.config),
            "weights": [_weights_digest(bundle.unet), _weights_digest(cast(torch.nn.Module, bundle.audio_encoder))],
            "device": [bundle.device.type, str(bundle.dtype)],
            "torch": torch.__version__,
        }


def _weights_digest(network: torch.nn.Module) -> str:
    """Tell one training of a network from another by the first number of each of its weights."""
    firsts = torch.stack([weight.flatten()[0].float() for weight in network.parameters()])
    return hashlib.sha256(firsts.cpu().numpy().tobytes()).hexdigest()
