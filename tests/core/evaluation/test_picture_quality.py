"""PSNR, SSIM and sharpness against scikit-image and by hand."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage import data, transform
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from latentsync_core.evaluation.picture_quality import LOWER_FACE, lower_face_psnr, lower_face_ssim, sharpness_ratio


@pytest.fixture(scope="module")
def real():
    face = transform.resize(data.astronaut()[:220, 120:340], (256, 256))
    return (np.stack([face, face[::-1]]) * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def blurred(real):
    return np.stack([gaussian_filter(frame, (2, 2, 0)) for frame in real])


def test_psnr_is_the_mean_over_frames_of_the_lower_face(real, blurred):
    rows, columns = LOWER_FACE
    by_hand = [peak_signal_noise_ratio(a[rows, columns], b[rows, columns]) for a, b in zip(real, blurred, strict=True)]
    assert lower_face_psnr(blurred, real) == pytest.approx(np.mean(by_hand), abs=1e-3)


def test_ssim_agrees_with_scikit_image(real, blurred):
    rows, columns = LOWER_FACE
    by_hand = [
        structural_similarity(
            a[rows, columns], b[rows, columns], channel_axis=2, gaussian_weights=True, use_sample_covariance=False
        )
        for a, b in zip(real, blurred, strict=True)
    ]
    assert lower_face_ssim(blurred, real) == pytest.approx(np.mean(by_hand), abs=0.015)  # edges are padded differently


def test_blur_lowers_sharpness_and_nothing_changes_nothing(real, blurred):
    assert sharpness_ratio(real, real) == 1.0
    assert sharpness_ratio(blurred, real) < 0.7
