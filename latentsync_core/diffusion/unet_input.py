"""What the U-Net sees: noise, mask, masked picture, reference picture (LatentSync, arXiv:2412.09262, figure 2).

With Stable Diffusion's four latent channels that makes 4 + 1 + 4 + 4 = 13.
"""

import torch
from torch import Tensor


def unet_input(noisy: Tensor, mask: Tensor, masked: Tensor, reference: Tensor) -> Tensor:
    """Put the inputs in the order of the published checkpoints.

    Args:
        noisy: (B, C, F, h, w) latents on their way from noise to picture.
        mask: (1, 1, h, w), 1 = keep, 0 = generate.
        masked: (B, C, F, h, w) latents of the picture whose hole is grey (pixel value 0).
        reference: (B, C, F, h, w) latents that show what the person looks like.

    Returns:
        (B, 3 C + 1, F, h, w) in the dtype of `noisy`.
    """
    batch, _, num_frames, height, width = noisy.shape
    mask = mask[:, :, None].expand(batch, 1, num_frames, height, width)
    return torch.cat([part.to(noisy) for part in (noisy, mask, masked, reference)], dim=1)
