"""The SyncNet loss: binary cross entropy of a cosine (arXiv:2412.09262, sections 3.2 and 3.3, after arXiv:2008.10010).

Embeddings end in a ReLU, so their cosine lies in 0..1 and is taken for the probability of being in sync as it is. A
network that tells nothing settles at one half everywhere: ln 2 = 0.693, the level at which trainings get stuck.
"""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

IN_SYNC_ABOVE = 0.5
CONTRAST_TEMPERATURE = 0.07  # as usual for cosines


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


def compare_all(vision: Tensor, audio: Tensor, per_clip: int) -> dict[str, Tensor]:
    """Loss, accuracy and contrast where every window is compared with the sounds of all windows of its clip.

    "total" and "accuracy" are as `cosine_loss` and `sync_accuracy`, with one half of the weight for pairs in sync and
    one for the others, as in batches of one half each: a network that tells nothing is at ln 2 and one half here, too.
    "contrast" (InfoNCE, arXiv:1807.03748; not in the paper) asks which of the sounds is a window's, and which of the
    windows a sound's: what all embeddings have in common, which is most of them at first, costs nothing there.

    Args:
        vision: (B, D) embeddings; B is a multiple of `per_clip`, windows of one clip in a row.
        audio: (B, D) of the windows' own sounds.
        per_clip: at least 2.
    """
    vision = rearrange(functional.normalize(vision.float(), dim=1), "(g i) d -> g i d", i=per_clip)
    audio = rearrange(functional.normalize(audio.float(), dim=1), "(g j) d -> g j d", j=per_clip)
    cosines = vision @ audio.transpose(1, 2)  # (G, i, j)
    probabilities = cosines.clamp(0.0, 1.0)
    labels = torch.eye(per_clip, device=cosines.device).expand_as(cosines)
    weights = (labels / 2 + (1 - labels) / (2 * (per_clip - 1))) / (len(cosines) * per_clip)  # 1 in all
    is_right = ((probabilities > IN_SYNC_ABOVE) == (labels > IN_SYNC_ABOVE)).float()
    own = torch.arange(per_clip, device=cosines.device).expand(len(cosines), per_clip)
    logits = cosines / CONTRAST_TEMPERATURE
    which_window = functional.cross_entropy(logits, own)  # classes are on the second axis
    which_sound = functional.cross_entropy(rearrange(logits, "g i j -> g j i"), own)
    return {
        "total": functional.binary_cross_entropy(probabilities, labels, weights, reduction="sum"),
        "accuracy": (is_right * weights).sum(),
        "contrast": (which_sound + which_window) / 2,
    }


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
