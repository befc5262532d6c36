"""The Frechet distance against closed forms, scipy's matrix root and torchmetrics' FID."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torchmetrics.image.fid import FrechetInceptionDistance

from latentsync_core.diffusion.latents import Autoencoder
from latentsync_core.evaluation.metrics.fid import latent_features, picture_features
from latentsync_core.evaluation.metrics.frechet import frechet_distance
from latentsync_core.evaluation.metrics.fvd import video_features


def with_moments(mean, covariance, count=200):
    """Features whose mean and covariance are exactly these."""
    white = np.random.default_rng(0).normal(size=(count, len(mean)))
    white -= white.mean(axis=0)
    white = white @ np.linalg.inv(np.linalg.cholesky(np.cov(white.T))).T
    return white @ np.linalg.cholesky(covariance).T + mean


def test_gaussians_with_a_closed_form():
    first = with_moments(np.array([0.0, 1.0]), np.diag([4.0, 9.0]))
    second = with_moments(np.array([3.0, 1.0]), np.diag([1.0, 25.0]))
    # |difference of means|^2 + sum of squared differences of deviations
    assert frechet_distance(first, second) == pytest.approx(9 + (2 - 1) ** 2 + (3 - 5) ** 2)


def test_it_agrees_with_the_matrix_root_for_any_covariance():
    generator = np.random.default_rng(1)
    first, second = generator.normal(size=(60, 6)) @ generator.normal(size=(6, 6)), generator.normal(size=(45, 6)) + 0.3
    a, b = np.cov(first.T), np.cov(second.T)
    between = ((first.mean(0) - second.mean(0)) ** 2).sum()
    assert frechet_distance(first, second) == pytest.approx(between + np.trace(a + b - 2 * sqrtm(a @ b).real))


def test_fewer_features_than_dimensions_are_no_problem():
    first = np.random.default_rng(2).normal(size=(5, 40))
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(first, first + 1) == pytest.approx(40)
    assert np.isnan(frechet_distance(first[:1], first))


class FewNumbers(torch.nn.Module):
    """A feature network whose features one can compute by hand: means of the crop's quarters."""

    num_features = 12

    def forward(self, pictures, return_features=True, rescale=True, resize=True):
        features = torch.nn.functional.adaptive_avg_pool2d(pictures.float().flatten(0, -4), 2).flatten(1)
        return features if pictures.ndim == 4 else features.reshape(len(pictures), -1)


def test_fid_of_a_feature_network_agrees_with_torchmetrics():
    generator = np.random.default_rng(3)
    real, fake = (generator.integers(0, high, (20, 256, 256, 3), np.uint8) for high in (256, 200))
    metric = FrechetInceptionDistance(feature=FewNumbers(), normalize=False)
    for crops, is_real in ((real, True), (fake, False)):
        metric.update(torch.from_numpy(crops).permute(0, 3, 1, 2), real=is_real)
    ours = frechet_distance(picture_features(FewNumbers(), fake), picture_features(FewNumbers(), real))
    assert ours == pytest.approx(float(metric.compute()), rel=1e-3)


def test_fvd_looks_at_whole_stretches_of_faces_only():
    seen = []

    def network(video, **choices):
        seen.append((tuple(video.shape), choices))
        return torch.zeros(1, 3)

    crops, has_face = np.zeros((40, 8, 8, 3), np.uint8), np.ones(40, bool)
    assert video_features(network, crops, has_face).shape == (2, 3)
    assert seen[0] == ((1, 3, 16, 8, 8), {"rescale": True, "resize": True, "return_features": True})
    has_face[20] = False
    assert video_features(network, crops, has_face).shape == (1, 3)
    assert len(video_features(network, crops[:10], has_face[:10])) == 0


class Halving:
    """An "autoencoder" whose latents are every second pixel."""

    class config:  # noqa: N801
        scaling_factor, shift_factor = 1.0, 0.0

    dtype, device = torch.float32, torch.device("cpu")

    def encode(self, pixels):
        return SimpleNamespace(latent_dist=SimpleNamespace(sample=lambda generator: pixels[..., ::2, ::2]))


def test_the_stand_ins_features_are_means_and_deviations_of_the_latents_quarters():
    crops = np.zeros((6, 256, 256, 3), np.uint8)
    crops[:, :128, 128:] = 255  # the upper right quarter
    vae: Autoencoder = Halving()  # type: ignore[assignment]
    features = latent_features(vae, crops)
    assert features.shape == (2, 2 * 3 * 4)  # frames 0 and 5
    means, deviations = features[0].reshape(2, 3, 4)
    assert means == pytest.approx(np.tile([-1, 1, -1, -1], (3, 1)))
    assert deviations == pytest.approx(np.zeros((3, 4)))
