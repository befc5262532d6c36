"""A small home-trained network whose features tell lower faces apart: LPIPS's stand-in where VGG-16 cannot be had.

LPIPS (arXiv:1801.03924) compares features of a network that learnt to classify photographs, weighted by what people
find alike. This one learnt whose lower face it sees and how the mouth stands (train_face_features.py), on some hundred
people; no person's judgement is in it. Its distance is never called LPIPS.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from latentsync_core.errors import BadCheckpoint

WEIGHTS, CONFIG = "model.safetensors", "config.json"


class FaceFeatures(nn.Module):
    """Pictures (N, 3, h, w) in [-1, 1] to one map of features per stage, each half as large as the one before.

    Args:
        widths: channels of the stages.
    """

    def __init__(self, widths: tuple[int, ...] = (32, 64, 128, 192)) -> None:
        super().__init__()
        self.widths = tuple(widths)
        inner = (3, *self.widths)
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, after, 4, stride=2, padding=1),
                nn.ReLU(),
                nn.Conv2d(after, after, 3, padding=1),
                nn.ReLU(),
            )
            for before, after in zip(inner, self.widths, strict=False)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, pictures: Tensor) -> list[Tensor]:
        maps = []
        for stage in self.stages:
            pictures = stage(pictures)
            maps.append(pictures)
        return maps


class FaceFeatureDistance(nn.Module):
    """LPIPS's arithmetic, all channels counting alike: (N, 3, h, w) twice in [-1, 1] -> (N,), 0 = the same."""

    def __init__(self, features: FaceFeatures) -> None:
        super().__init__()
        self.features = features

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        distances = [
            (F.normalize(of_first, dim=1) - F.normalize(of_second, dim=1)).square().sum(1).mean((1, 2))
            for of_first, of_second in zip(self.features(first), self.features(second), strict=True)
        ]
        return torch.stack(distances).sum(0)


def save_face_features(features: FaceFeatures, folder: Path) -> None:
    """Write `config.json` and `model.safetensors`."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({key: value.contiguous() for key, value in features.state_dict().items()}, folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps({"kind": "FaceFeatures", "widths": features.widths}) + "\n")


def load_face_feature_distance(folder: Path) -> FaceFeatureDistance:
    """The distance over what `train-face-features` left, frozen.

    Raises:
        BadCheckpoint: if it is no such folder.
    """
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        features = FaceFeatures(tuple(config["widths"]))
        features.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise BadCheckpoint(f"{folder}: not a folder that train-face-features left ({error})") from error
    return FaceFeatureDistance(features).eval().requires_grad_(False)
