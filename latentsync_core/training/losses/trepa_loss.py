"""TREPA: temporal representation alignment (arXiv:2412.09262, section 3.4).

A video encoder trained without labels sees 16 generated and 16 real frames; the distance of what it makes of them
punishes motion that real videos do not have. The reference takes VideoMAE-v2 (giant); here any VideoMAE checkpoint of
transformers does, that of `train-videomae` too, and one with random weights, which sees the frames' order at least.
Where we differ: pictures are normalised as the checkpoint's own `preprocessor_config.json` says; the reference passes
[0, 1] as it is, and so do we where that file is missing.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from einops import rearrange, reduce
from torch import Tensor, nn
from torch.nn import functional
from transformers import VideoMAEConfig, VideoMAEForVideoClassification, VideoMAEModel

from latentsync_core.errors import BadCheckpoint

PREPROCESSOR = "preprocessor_config.json"


@dataclass(frozen=True)
class VideoFeatures:
    """A frozen video encoder with what its pictures must be like.

    Attributes:
        encoder: VideoMAE.
        norm: of the mean over all tokens, where the checkpoint has one (fine-tuned ones do).
        mean: (3,) of RGB in [0, 1].
        std: (3,).
    """

    encoder: VideoMAEModel
    norm: nn.Module
    mean: Tensor
    std: Tensor

    @property
    def num_frames(self) -> int:
        """Frames that the encoder takes."""
        return int(self.encoder.config.num_frames)

    def __call__(self, frames: Tensor) -> Tensor:
        """One vector (B, D) per video (B, 3, F, H, W) in about [-1, 1]; values beyond are cut off.

        Raises:
            ValueError: if F is not the encoder's number of frames.
        """
        count = frames.shape[2]
        if count != self.num_frames:
            raise ValueError(f"this VideoMAE takes {self.num_frames} frames, not {count}")
        size = list(self.encoder.embeddings.patch_embeddings.image_size)
        pictures = rearrange(frames, "b c f h w -> (b f) c h w")
        pictures = functional.interpolate(pictures, size=size, mode="bilinear")
        pictures = (pictures / 2 + 0.5).clamp(0, 1)
        mean, std = (values.to(pictures)[:, None, None] for values in (self.mean, self.std))
        videos = rearrange((pictures - mean) / std, "(b f) c h w -> b f c h w", f=count)
        tokens = self.encoder(pixel_values=videos).last_hidden_state
        pooled: Tensor = self.norm(reduce(tokens, "b n d -> b d", "mean"))
        return pooled


def trepa_loss(features: VideoFeatures, predicted: Tensor, target: Tensor) -> Tensor:
    """The mean squared difference of the unit feature vectors.

    Args:
        features: of the frozen encoder.
        predicted: (B, 3, F, H, W) in about [-1, 1], the decoded one-step estimate.
        target: (B, 3, F, H, W) in [-1, 1].

    Returns:
        a float32 scalar, inside autocast too: the squared distance over D as the reference has it (its weight of 10
        is meant for that).
    """
    with torch.autocast(predicted.device.type, enabled=False):
        with torch.no_grad():
            wanted = functional.normalize(features(target.float()), dim=1)
        return functional.mse_loss(functional.normalize(features(predicted.float()), dim=1), wanted)


def load_video_features(folder: Path) -> VideoFeatures:
    """Read a VideoMAE checkpoint folder of transformers: pretraining, bare, or fine-tuned for classification.

    Raises:
        BadCheckpoint: if it is no such folder.
    """
    try:
        config = VideoMAEConfig.from_pretrained(folder, local_files_only=True)
        if "VideoMAEForVideoClassification" in (config.architectures or []):
            whole = VideoMAEForVideoClassification.from_pretrained(folder, local_files_only=True)
            encoder, norm = whole.videomae, whole.fc_norm or nn.Identity()
        else:
            encoder = VideoMAEModel.from_pretrained(folder, local_files_only=True)
            norm = nn.Identity()
    except (OSError, ValueError) as error:
        raise BadCheckpoint(f"{folder}: not a VideoMAE checkpoint folder ({error})") from error
    return _frozen(encoder, norm, *_normalisation(folder / PREPROCESSOR))


def random_video_features(seed: int = 0, image_size: int = 64, num_frames: int = 16) -> VideoFeatures:
    """The stand-in for offline use: a small VideoMAE with random weights, never trained on anything."""
    config = VideoMAEConfig(
        image_size=image_size,
        patch_size=16,
        num_frames=num_frames,
        tubelet_size=2,
        hidden_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=192,
        initializer_range=0.1,  # random layers of the usual 0.02 would hardly change with their input
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder = VideoMAEModel(config)
    return _frozen(encoder, nn.Identity(), (0.0,) * 3, (1.0,) * 3)


def _normalisation(path: Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if not path.is_file():
        return (0.0,) * 3, (1.0,) * 3
    values = json.loads(path.read_text(encoding="utf-8"))
    return tuple(values["image_mean"]), tuple(values["image_std"])


def _frozen(encoder: VideoMAEModel, norm: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> VideoFeatures:
    return VideoFeatures(
        encoder.eval().requires_grad_(False),
        norm.eval().requires_grad_(False),
        torch.tensor(mean),
        torch.tensor(std),
    )
