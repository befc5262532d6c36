"""Picture metrics of crops: identical ones are perfect, known changes give known figures."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage import data, transform
from skimage.metrics import peak_signal_noise_ratio

from latentsync_core.evaluation.metrics.flicker import frame_flicker
from latentsync_core.evaluation.metrics.landmark_distance import frame_lmd
from latentsync_core.evaluation.metrics.own_face import own_face_likeness
from latentsync_core.evaluation.metrics.psnr import IDENTICAL_DB, frame_psnr
from latentsync_core.evaluation.metrics.seam import frame_seam
from latentsync_core.evaluation.metrics.sharpness import frame_gradient
from latentsync_core.evaluation.metrics.ssim import frame_ssim
from latentsync_core.evaluation.metrics.success import is_success
from latentsync_core.evaluation.weights import SHIPPED_FACE_FEATURES
from latentsync_core.training.losses.face_features import load_face_feature_distance


@pytest.fixture(scope="module")
def real():
    face = transform.resize(data.astronaut()[:220, 120:340], (256, 256))
    return np.repeat((face * 255).astype(np.uint8)[None], 4, axis=0)


def test_an_identical_clip_is_perfect(real):
    assert frame_psnr(real, real).tolist() == [IDENTICAL_DB] * 4
    assert frame_ssim(real, real) == pytest.approx([1.0] * 4)
    assert frame_seam(real, real).tolist() == [0.0] * 4


def test_psnr_of_every_frame_agrees_with_scikit_image(real):
    noisy = real.copy()
    for level in range(4):
        noise = np.random.default_rng(level).integers(-9, 9, (256, 256, 3))
        noisy[level] = np.clip(real[level].astype(int) + noise, 0, 255)
    by_hand = [peak_signal_noise_ratio(a, b) for a, b in zip(real, noisy, strict=True)]
    assert frame_psnr(noisy, real) == pytest.approx(by_hand, abs=1e-3)


def test_flicker_is_zero_for_what_stands_or_changes_steadily_and_half_the_jump_for_what_blinks():
    levels = {"still": [80, 80, 80, 80, 80], "steady": [80, 90, 100, 110, 120], "blinking": [80, 100, 80, 100, 80]}
    found = {
        name: frame_flicker(np.stack([np.full((256, 256, 3), level, np.uint8) for level in track]))
        for name, track in levels.items()
    }
    assert np.isnan(found["still"][[0, -1]]).all()
    assert found["still"][1:-1].tolist() == [0.0] * 3
    assert found["steady"][1:-1].tolist() == [0.0] * 3
    assert found["blinking"][1:-1] == pytest.approx([10.0] * 3)


def test_a_hard_edge_shows_as_a_seam_and_a_soft_one_hardly(real):
    patch = np.zeros((256, 256))
    patch[120:240, 60:200] = 1
    soft = gaussian_filter(patch, 12)
    hard, blended = (np.clip(real + 30 * weight[None, ..., None], 0, 255).astype(np.uint8) for weight in (patch, soft))
    assert frame_seam(hard, real).mean() > 1.5
    assert abs(frame_seam(blended, real).mean()) < frame_seam(hard, real).mean() / 4


def test_blur_lowers_the_gradient_around_the_mouth(real):
    blurred = np.stack([gaussian_filter(frame, (2, 2, 0)) for frame in real])
    assert (frame_gradient(blurred) < 0.8 * frame_gradient(real)).all()


def test_own_frames_are_alike_and_another_mouth_less(real):
    network = load_face_feature_distance(SHIPPED_FACE_FEATURES).features
    clip, frames = np.repeat(real[:1], 12, axis=0), np.arange(12)
    assert own_face_likeness(network, clip, clip, frames) == pytest.approx(1, abs=1e-5)
    upside_down = np.ascontiguousarray(clip[:, ::-1])
    assert own_face_likeness(network, upside_down, clip, frames) < 0.9
    assert np.isnan(own_face_likeness(network, clip[:5], clip[:5], frames[:5]))  # all at nearly the same time


def test_lmd_is_in_pixels_of_the_aligned_face_and_where_the_mouth_is_does_not_count():
    real = np.random.default_rng(0).uniform(0, 300, (3, 468, 2)).astype(np.float32)
    fits = np.tile(np.array([[2.0, 0, 0], [0, 2.0, 0]]), (3, 1, 1))  # canvas pixels, 210 x 280; the crop is 256 x 256
    assert frame_lmd(real + 5, real, fits) == pytest.approx([0, 0, 0], abs=1e-3)
    wider = real.copy()
    wider[:, :, 0] *= 1.1
    lips = real[:, LIPS, 0].astype(np.float64)
    expected = np.abs(0.1 * (lips - lips.mean(axis=1, keepdims=True))).mean(axis=1) * 2 * 256 / 210
    assert frame_lmd(wider, real, fits) == pytest.approx(expected, rel=1e-3)
    missing = real.copy()
    missing[1] = np.nan
    assert np.isnan(frame_lmd(missing, real, fits)).tolist() == [False, True, False]


LIPS = [
    61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409,
    78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415,
]  # fmt: skip


@pytest.mark.parametrize(
    ("faces", "source_faces", "wanted", "expected"),
    [
        ([1] * 50, [1] * 50, 50, True),
        ([1] * 46, [1] * 50, 50, True),  # 0.16 s short
        ([1] * 40, [1] * 50, 50, False),
        ([1] * 45 + [0] * 5, [1] * 50, 50, False),  # a tenth of the faces is lost
        ([1] * 45 + [0] * 5, [1] * 45 + [0] * 5, 50, True),  # the source shows none there either
        ([1] * 50, [0] * 50, 50, False),
    ],
)
def test_a_result_succeeds_if_it_is_long_enough_and_keeps_the_faces(faces, source_faces, wanted, expected):
    assert is_success(np.array(faces, bool), np.array(source_faces, bool), wanted) is expected
