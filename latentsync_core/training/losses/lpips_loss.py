"""The perceptual loss on the lower half of the face (arXiv:2412.09262, section 3.2; LPIPS: arXiv:1801.03924).

The lpips package has the distances' small linear layers in itself, but fetches VGG-16 from the net when it is built.
Here every weight comes from a path that is given. Without one there is a stand-in under its own name: the same
distance over VGG with random weights, which sees edges and textures but is not calibrated to people's judgement.
"""

import warnings
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor, nn

from latentsync_core.errors import BadCheckpoint
from latentsync_core.models.checkpoint import read_state_dict

_FEATURES = (
    "features."  # what torchvision has before the numbers of VGG-16's layers, which go on through lpips's slices
)


def lpips_loss(distance: nn.Module, predicted: Tensor, target: Tensor) -> Tensor:
    """The mean perceptual distance of the lower halves.

    Args:
        distance: LPIPS between pictures (N, 3, h, w) in [-1, 1], frozen.
        predicted: (B, 3, F, H, W) in about [-1, 1], the decoded one-step estimate.
        target: (B, 3, F, H, W) in [-1, 1].

    Returns:
        a float32 scalar, inside autocast too, where bfloat16 would round small distances away; its gradient reaches
        the lower half of `predicted` only.
    """
    halves = (
        rearrange(frames[..., frames.shape[-2] // 2 :, :].float(), "b c f h w -> (b f) c h w")
        for frames in (predicted, target)
    )
    with torch.autocast(predicted.device.type, enabled=False):
        return distance(*halves).mean()


def load_lpips(vgg_weights: Path) -> nn.Module:
    """LPIPS over VGG-16, with the calibrated linear layers that the lpips package has in itself (version 0.1).

    Args:
        vgg_weights: torchvision's VGG-16 for ImageNet (`vgg16-397923af.pth`), or any file with its keys.

    Raises:
        BadCheckpoint: if there is no such file, or a layer is missing or of another shape.
    """
    weights = read_state_dict(vgg_weights)
    distance = _lpips(calibrated=True)
    network = distance.get_submodule("net")
    expected = network.state_dict()
    renamed = {}
    for key in expected:  # "slice2.5.weight" is "features.5.weight" of torchvision
        name = _FEATURES + key.split(".", 1)[1]
        if name not in weights or weights[name].shape != expected[key].shape:
            raise BadCheckpoint(f"{vgg_weights} is not VGG-16: {name} is missing or of another shape")
        renamed[key] = weights[name]
    network.load_state_dict(renamed)
    return distance


def random_vgg_distance(seed: int = 0) -> nn.Module:
    """The stand-in for offline use: LPIPS's arithmetic over an untrained VGG-16, all layers counting alike."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        distance = _lpips(calibrated=False)
    return distance


def _lpips(calibrated: bool) -> nn.Module:
    import lpips  # here, because it loads all of torchvision's models

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchvision deprecated the argument that lpips passes
        distance: nn.Module = lpips.LPIPS(net="vgg", pnet_rand=True, lpips=calibrated, verbose=False)
    return distance.eval().requires_grad_(False)
