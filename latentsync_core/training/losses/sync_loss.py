"""The SyncNet loss: binary cross entropy of a cosine (arXiv:2412.09262, sections 3.2 and 3.3, after arXiv:2008.10010).

Embeddings end in a ReLU, so their cosine lies in 0..1 and is taken for the probability of being in sync as it is. A
network that tells nothing settles at one half everywhere: ln 2 = 0.693, the level at which trainings get stuck.
"""

from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

IN_SYNC_ABOVE = 0.5


def cosine_probability(vision: Tensor, audio: Tensor) -> Tensor:
    """The cosine (B,) of embeddings (B, D) in float32; rounding may not leave 0..1."""
    return functional.cosine_similarity(vision.float(), audio.float()).clamp(0.0, 1.0)


def cosine_loss(vision: Tensor, audio: Tensor, labels: Tensor) -> Tensor:
    """Mean binary cross entropy of the cosines; one item costs at most 100.

    Args:
        vision: (B, D) embeddings of the pictures.
        audio: (B, D) of the sound.
        labels: (B,) 1 = in sync, 0 = not.
    """
    return functional.binary_cross_entropy(cosine_probability(vision, audio), labels.float())


def sync_accuracy(vision: Tensor, audio: Tensor, labels: Tensor) -> Tensor:
    """The share of items on the right side of one half; arguments as for `cosine_loss`."""
    return ((cosine_probability(vision, audio) > IN_SYNC_ABOVE) == (labels > IN_SYNC_ABOVE)).float().mean()


def sync_loss(syncnet: nn.Module, frames: Tensor, mel: Tensor, resolution: int) -> Tensor:
    """How far the lips of decoded frames are from the sound, as SyncNet judges the lower half.

    Args:
        syncnet: frozen and in evaluation mode; it hears and sees F frames.
        frames: (B, 3, F, R, R) in about [-1, 1], the decoded one-step estimate: whole aligned faces. For a SyncNet
            of latents the estimate itself, (B, C, F, h, w).
        mel: (B, 1, 80, M) of the same instants, see `latentsync_core.audio.mel`.
        resolution: side of the faces (or latents) that SyncNet was trained on; others are brought to it.

    Returns:
        a scalar; its gradient reaches the lower half of `frames` only.
    """
    count = frames.shape[2]
    lower = rearrange(frames[..., frames.shape[-2] // 2 :, :], "b c f h w -> (b f) c h w")
    if lower.shape[-1] != resolution:
        lower = functional.interpolate(lower, size=(resolution // 2, resolution), mode="area")  # as the training's
    vision, audio = syncnet(rearrange(lower, "(b f) c h w -> b (f c) h w", f=count), mel)
    return cosine_loss(vision, audio, vision.new_ones(len(vision)))
