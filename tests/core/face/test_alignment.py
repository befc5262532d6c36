"""Alignment against the recorded reference, and where ours is meant to differ from it."""

import json

import numpy as np
import pytest
from skimage.data import astronaut

from latentsync_core.face.alignment import TEMPLATE, crop_face, crop_matrix, fit_similarity
from latentsync_core.face.sampling import invert_affine, sample_affine
from tests.core.face import reference_alignment as reference

ASTRONAUT_ANCHORS = np.array([[198.6, 87.6], [252.4, 89.9], [222.9, 124.2]])
PSNR_OF_TWO_RESAMPLINGS = 33.0  # dB, what separates one resampling from two on a photograph


def recorded_fits() -> dict[str, np.ndarray]:
    with np.load(reference.PARITY / "align" / "fits.npz") as arrays:
        return {name: arrays[name].astype(np.float64) for name in arrays.files}


@pytest.mark.parametrize("resolution", [256, 512])
def test_the_fit_equals_the_recorded_one(resolution):
    fits = recorded_fits()
    for points, recorded in zip(fits["triples"], fits[f"plain_{resolution}"], strict=True):
        matrix = fit_similarity(points) * (resolution / 256)
        np.testing.assert_allclose(matrix[:, :2], recorded[:, :2], atol=2e-5)
        np.testing.assert_allclose(matrix[:, 2], recorded[:, 2], atol=1e-2)


def test_a_mirrored_face_is_turned_but_never_flipped():
    mirrored = json.loads((reference.PARITY / "align" / "align.json").read_text())["fit"]["mirrored_triple"]
    matrix = fit_similarity(recorded_fits()["triples"][mirrored])
    assert np.linalg.det(matrix[:, :2]) > 0


@pytest.mark.parametrize("resolution", [256, 512])
def test_the_reference_moves_the_crop_by_a_bias_that_remembers_other_videos_and_ours_does_not(resolution):
    fits = recorded_fits()
    template = TEMPLATE * (resolution / 256)
    smoothed = reference.SmoothedFit(template)
    for index, points in enumerate(fits["triples"]):
        plain = fit_similarity(points, template)
        theirs = smoothed.fit(points, plain)
        np.testing.assert_allclose(theirs[:, 2], fits[f"smooth_{resolution}"][index][:, 2], atol=1e-2)
        np.testing.assert_allclose(smoothed.bias, fits[f"p_bias_{resolution}"][index], atol=1e-4)
        # Ours is a function of the points: the same whatever was fitted before.
        np.testing.assert_array_equal(plain, fit_similarity(points, template))
    first_alone = reference.SmoothedFit(template).fit(points, plain)
    assert np.abs(first_alone - theirs).max() > 1e-3  # theirs leaks


def test_the_anchors_arrive_at_the_template():
    angle, scale = 0.3, 1.7
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = TEMPLATE @ turn.T + [310.5, 722.25]
    matrix = fit_similarity(points)
    np.testing.assert_allclose(points @ matrix[:, :2].T + matrix[:, 2], TEMPLATE, atol=1e-9)


@pytest.mark.parametrize("points", [np.ones((3, 2)), np.full((3, 2), np.nan), np.zeros((4, 2))])
def test_points_that_make_no_triangle_are_refused(points):
    with pytest.raises(ValueError, match=r"anchors|points"):
        fit_similarity(points)


@pytest.mark.parametrize("case", [0, 1])
def test_the_oracle_reproduces_the_recorded_crop(case):
    settings = json.loads((reference.PARITY / "align" / "align.json").read_text())["warp"][case]
    height, width = settings["image"]
    with np.load(reference.PARITY / "align" / f"warp_{case}.npz") as recorded:
        canvas = reference.crop_canvas(reference.test_image(width, height), recorded["matrix"].astype(np.float64))
        difference = np.abs(canvas.astype(int) - recorded["face_u8"])
        assert difference.max() <= 1
        assert (difference > 0).mean() < 0.01


def test_our_crop_shows_what_the_reference_crop_shows():
    """Ours is rounded and resampled once, theirs is cut and resampled twice: the geometry is the same."""
    frame = astronaut()
    matrix = fit_similarity(ASTRONAUT_ANCHORS)
    ours = crop_face(frame, matrix).astype(float)
    theirs = reference.crop_square(frame, matrix).astype(float)
    assert 10 * np.log10(255**2 / ((ours - theirs) ** 2).mean()) > PSNR_OF_TWO_RESAMPLINGS
    moved = matrix.copy()
    moved[0, 2] += 0.5  # half a pixel of the canvas is clearly worse: no hidden shift
    shifted = crop_face(frame, moved).astype(float)
    assert ((shifted - theirs) ** 2).mean() > 1.5 * ((ours - theirs) ** 2).mean()


def test_the_crop_of_a_ramp_is_the_ramp_at_every_position_of_a_large_frame():
    """float16 positions are off by up to 0.44 px at 1080x1920; ours by less than 1/32 px."""
    width = 1920
    ramp = np.broadcast_to((np.arange(width) * 0.125)[None, :, None], (400, width, 3)).astype(np.float32)
    points = np.array([[1650.3, 120.2], [1741.1, 118.7], [1696.2, 170.4]])
    matrix = crop_matrix(fit_similarity(points), 256)
    crop = sample_affine(ramp, matrix, (256, 256), border=127)
    y, x = np.mgrid[:256, :256]
    inverse = invert_affine(matrix)
    source_x = inverse[0, 0] * x + inverse[0, 1] * y + inverse[0, 2]
    source_y = inverse[1, 0] * x + inverse[1, 1] * y + inverse[1, 2]
    inside = (source_x > 2) & (source_x < width - 3) & (source_y > 2) & (source_y < 397)
    assert np.abs(crop[..., 0] - source_x * 0.125)[inside].max() < 0.125 / 32


def test_a_face_larger_than_the_crop_is_averaged_not_skipped():
    """Fine noise on a 4x larger face averages to grey; sampling single pixels would keep its contrast."""
    noise = np.random.default_rng(0).integers(0, 256, (1200, 1200, 3), dtype=np.uint8)
    points = TEMPLATE * 4.0 + [180.0, 40.0]
    crop = crop_face(noise, fit_similarity(points))
    assert crop[20:-20, 20:-20].std() < 0.35 * noise.std()


def test_outside_the_frame_the_crop_is_grey_127():
    frame = np.full((100, 100, 3), 255, dtype=np.uint8)
    crop = crop_face(frame, fit_similarity(TEMPLATE - [105.0, 0.0]))  # the left half lies outside
    assert (crop[:200, :110] == 127).all()
    assert (crop[60:90, 150:160] == 255).all()


def test_the_crop_has_the_same_framing_at_every_resolution():
    frame = astronaut()
    matrix = fit_similarity(ASTRONAUT_ANCHORS)
    large = crop_face(frame, matrix, 512).astype(float).reshape(256, 2, 256, 2, 3).mean(axis=(1, 3))
    small = crop_face(frame, matrix, 256).astype(float)
    assert 10 * np.log10(255**2 / ((large - small) ** 2).mean()) > 30
