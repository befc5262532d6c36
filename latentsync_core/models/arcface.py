"""ArcFace's recogniser of people, IResNet (arXiv:1801.07698), with the parameter names of insightface's arcface_torch.

Its published `backbone.pth` files (r18 to r100) load: the depth is read off the weights.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from latentsync_core.errors import BadCheckpoint
from latentsync_core.models.checkpoint import load_strictly, read_state_dict

FACE_SIDE = 112  # pixels
EMBEDDING = 512
WIDTHS = (64, 128, 256, 512)


class _Block(nn.Module):
    """Norm, convolution, norm, PReLU, convolution with the stride, norm; added to the (reduced) input."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.prelu = nn.PReLU(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        self.downsample = (
            nn.Sequential(nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))
            if stride != 1
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, channels, h / stride, w / stride)."""
        y = self.bn3(self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x))))))
        return torch.add(y, x if self.downsample is None else self.downsample(x))


class IResNet(nn.Module):
    """Gives the embedding of an aligned face.

    Args:
        depths: blocks in each of the four stages; (3, 4, 14, 3) is r50.
    """

    def __init__(self, depths: tuple[int, ...]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.prelu = nn.PReLU(WIDTHS[0])
        before = (WIDTHS[0], *WIDTHS)
        for stage, depth in enumerate(depths):
            blocks = [_Block(before[stage], WIDTHS[stage], 2)]
            blocks += [_Block(WIDTHS[stage], WIDTHS[stage], 1) for _ in range(depth - 1)]
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.bn2 = nn.BatchNorm2d(WIDTHS[-1])
        self.fc = nn.Linear(WIDTHS[-1] * (FACE_SIDE // 16) ** 2, EMBEDDING)
        self.features = nn.BatchNorm1d(EMBEDDING)

    def forward(self, faces: Tensor) -> Tensor:
        """Faces (B, 3, 112, 112) RGB in [-1, 1] -> (B, 512), to be compared by their cosine."""
        x = self.prelu(self.bn1(self.conv1(faces)))
        for stage in range(1, 5):
            x = self.get_submodule(f"layer{stage}")(x)
        embedding: Tensor = self.features(self.fc(self.bn2(x).flatten(1)))
        return embedding


def load_arcface(path: Path) -> IResNet:
    """Read a `backbone.pth`, in evaluation mode and frozen.

    Raises:
        BadCheckpoint: if the file is missing or of another network.
    """
    weights = read_state_dict(path)
    places = [key.split(".") for key in weights if key.startswith("layer")]
    depths = tuple(len({name[1] for name in places if name[0] == f"layer{stage}"}) for stage in range(1, 5))
    if 0 in depths:
        raise BadCheckpoint(f"{path} is no IResNet: a stage has no blocks")
    network = IResNet(depths)
    load_strictly(network, weights, str(path))
    return network.eval().requires_grad_(False)
