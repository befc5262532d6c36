"""The perceptual loss: LPIPS's arithmetic done slowly, the lower half only, weights from a path."""

import pytest
import torch
import torchvision
from torch.nn import functional

from latentsync_core.errors import BadCheckpoint
from latentsync_core.training.losses.lpips_loss import load_lpips, lpips_loss, random_vgg_distance

RELUS = (3, 8, 15, 22, 29)  # of torchvision's VGG-16: relu1_2, 2_2, 3_3, 4_3, 5_3
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture(scope="module")
def vgg_file(tmp_path_factory):
    """Weights as torchvision has them, but random: no hub is at hand."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "vgg16.pth"
    weights = torchvision.models.vgg16(weights=None).features.state_dict()
    torch.save({f"features.{name}": tensor for name, tensor in weights.items()}, path)
    return path


@pytest.fixture(scope="module")
def stand_in():
    return random_vgg_distance()


def some_videos(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    predicted, target = torch.rand(2, 1, 3, 2, 64, 32, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return predicted, target


def slow_distance(layers: torch.nn.Module, weights: list[torch.Tensor], a: torch.Tensor, b: torch.Tensor) -> float:
    """LPIPS of two pictures (3, h, w): unit vectors of every layer, weighted squared differences, means, sum."""
    total = 0.0
    pictures = [(p - torch.tensor(SHIFT)[:, None, None]) / torch.tensor(SCALE)[:, None, None] for p in (a, b)]
    hidden = torch.stack(pictures)
    for number, layer in enumerate(layers[:30]):
        hidden = layer(hidden)
        if number in RELUS:
            first, second = (each / (each.norm(dim=0) + 1e-10) for each in hidden)
            weight = weights[RELUS.index(number)]
            total += float((weight[:, None, None] * (first - second) ** 2).sum(0).mean())
    return total


@torch.no_grad()
def test_it_is_the_published_distance_over_the_given_weights(vgg_file):
    import lpips

    folder = lpips.__path__[0]
    linear = torch.load(f"{folder}/weights/v0.1/vgg.pth", map_location="cpu", weights_only=True)
    calibration = [linear[f"lin{layer}.model.1.weight"].flatten() for layer in range(5)]
    vgg = torchvision.models.vgg16(weights=None).features
    vgg.load_state_dict(
        {key.removeprefix("features."): value for key, value in torch.load(vgg_file, weights_only=True).items()}
    )
    predicted, target = some_videos(1)
    by_hand = [
        slow_distance(vgg, calibration, predicted[0, :, frame, 32:], target[0, :, frame, 32:]) for frame in range(2)
    ]
    loss = float(lpips_loss(load_lpips(vgg_file), predicted, target))
    assert loss == pytest.approx(sum(by_hand) / 2, rel=1e-4)


def test_the_gradient_reaches_the_lower_half_of_the_prediction_only(stand_in):
    predicted, target = some_videos(2)
    predicted.requires_grad_(True)
    target.requires_grad_(True)
    lpips_loss(stand_in, predicted, target).backward()
    assert not predicted.grad[..., :32, :].any()
    assert predicted.grad[..., 32:, :].abs().amax((0, 1, 3, 4)).min() > 0
    assert all(parameter.grad is None for parameter in stand_in.parameters())


@torch.no_grad()
def test_mixed_precision_does_not_round_small_distances(stand_in):
    _, target = some_videos(4)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = lpips_loss(stand_in, target + 0.001, target)
    assert torch.equal(mixed, lpips_loss(stand_in, target + 0.001, target))


@torch.no_grad()
def test_the_stand_in_is_a_distance_that_blurring_raises(stand_in):
    _, target = some_videos(3)
    blurred = functional.avg_pool3d(target, (1, 5, 5), stride=1, padding=(0, 2, 2))
    slightly = 0.9 * target + 0.1 * blurred
    assert float(lpips_loss(stand_in, target, target)) == 0
    assert float(lpips_loss(stand_in, blurred, target)) > float(lpips_loss(stand_in, slightly, target)) > 0


def test_the_stand_in_is_the_same_every_time_and_leaves_torchs_random_state_alone(stand_in):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    again = random_vgg_distance()
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(*pair) for pair in zip(again.parameters(), stand_in.parameters(), strict=True))


def test_weights_that_are_not_vggs_are_refused_by_layer(tmp_path):
    with pytest.raises(BadCheckpoint, match="no such weights file"):
        load_lpips(tmp_path / "vgg16.pth")
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(BadCheckpoint, match=r"features\.0\.weight"):
        load_lpips(tmp_path / "other.pth")
