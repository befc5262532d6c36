"""Paste-back: what changes, what must not, and that the edge cannot be seen."""

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from latentsync_core.face.alignment import TEMPLATE, crop_face, crop_matrix, fit_similarity
from latentsync_core.face.mask import official_mask
from latentsync_core.face.paste_back import measure_shift, paste_face
from latentsync_core.face.sampling import invert_affine
from tests.core.face import reference_alignment as reference

MASK = official_mask(256)
ASTRONAUT_ANCHORS = np.array([[198.6, 87.6], [252.4, 89.9], [222.9, 124.2]])


def gradient(width=400, height=400) -> np.ndarray:
    """A smooth picture without any edge."""
    y, x = np.mgrid[:height, :width]
    return np.stack([60 + 0.3 * x, 190 - 0.25 * y, 90 + 0.1 * x + 0.1 * y], axis=-1).round().astype(np.uint8)


def matrix_for(scale=1.0, angle=0.15, shift=(110.0, 70.0)) -> np.ndarray:
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return fit_similarity(TEMPLATE @ turn.T + shift)


def where_hole(matrix, shape, margin=0.0) -> np.ndarray:
    """Mark the frame's pixels (H, W) that lie inside the hole, grown by a margin in crop pixels."""
    hole = (MASK[0, 0] < 0.5).astype(np.uint8)
    if margin:
        side = 2 * round(margin) + 1
        hole = cv2.dilate(hole, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    inverse = invert_affine(crop_matrix(matrix, 256))
    return cv2.warpAffine(hole, inverse, (shape[1], shape[0]), flags=cv2.INTER_NEAREST) > 0


def visible_edge(picture, matrix) -> float:
    """Measure the step across the hole's edge: the largest mean difference between a thin band inside and outside.

    A smooth picture has none but its own gradient, a pasted cast has its full height.
    """
    inner = where_hole(matrix, picture.shape) & ~_shrunk(where_hole(matrix, picture.shape), 12)
    outer = where_hole(matrix, picture.shape, 20) & ~where_hole(matrix, picture.shape, 10)
    levels = picture.astype(float)
    return float(np.abs(levels[inner].mean(axis=0) - levels[outer].mean(axis=0)).max())


def _shrunk(marked, by):
    return cv2.erode(marked.astype(np.uint8), np.ones((2 * by + 1, 2 * by + 1), np.uint8)) > 0


@pytest.mark.parametrize("scale", [0.6, 1.0, 1.15])
def test_a_perfect_face_changes_nothing_within_rounding_and_nothing_at_all_outside(scale):
    frame, matrix = gradient(), matrix_for(scale)
    pasted = paste_face(frame, crop_face(frame, matrix), matrix, MASK)
    difference = np.abs(pasted.astype(int) - frame)
    assert difference.max() <= 2
    assert difference.mean() < 0.1
    assert difference[~where_hole(matrix, frame.shape, 10)].max() == 0


def test_pasting_does_not_darken():
    """The reference cuts twice and loses 0.97 levels on a photograph; rounding loses none."""
    frame, matrix = astronaut(), fit_similarity(ASTRONAUT_ANCHORS)
    inside = _shrunk(where_hole(matrix, frame.shape), 3)
    pasted = paste_face(frame, crop_face(frame, matrix), matrix, MASK)
    assert abs((pasted.astype(float) - frame)[inside].mean()) < 0.1
    canvas = reference.crop_canvas(frame, matrix).astype(np.float64) / 127.5 - 1
    theirs = reference.paste_canvas(frame, canvas, matrix)["restored"].astype(np.uint8)
    assert (theirs.astype(float) - frame)[inside].mean() < -0.5


def test_a_crop_at_hand_gives_the_same_picture_to_the_bit():
    frame, matrix = astronaut(), fit_similarity(ASTRONAUT_ANCHORS)
    crop = crop_face(frame, matrix)
    face = np.clip(crop.astype(int) + 9, 0, 255).astype(np.uint8)
    assert np.array_equal(paste_face(frame, face, matrix, MASK, crop=crop), paste_face(frame, face, matrix, MASK))


def test_a_paste_mask_says_how_much_of_the_face_is_shown():
    frame, matrix = astronaut(), fit_similarity(ASTRONAUT_ANCHORS)
    face = np.zeros((256, 256, 3), np.uint8)
    shows_frame, shows_half = np.ones((256, 256), np.float32), np.ones((256, 256), np.float32)
    shows_half[150:200, 80:180] = 0.5
    no_shift = np.zeros((64, 64, 3), np.float32)
    unchanged = paste_face(frame, face, matrix, MASK, colour_shift=no_shift, paste_mask=shows_frame)
    assert np.array_equal(unchanged, frame)
    halved = crop_face(paste_face(frame, face, matrix, MASK, colour_shift=no_shift, paste_mask=shows_half), matrix)
    before = crop_face(frame, matrix)
    assert np.abs(halved[155:195, 85:175] - before[155:195, 85:175] / 2).max() < 6  # sampled twice
    assert np.array_equal(halved[:140], before[:140])


def test_opacity_fades_between_the_frame_and_the_face():
    picture, matrix = gradient(), matrix_for()
    face = np.zeros((256, 256, 3), np.uint8)
    shift = np.zeros((64, 64, 3), np.float32)
    none, half, full = (
        paste_face(picture, face, matrix, MASK, colour_shift=shift, opacity=opacity) for opacity in (0.0, 0.5, 1.0)
    )
    assert np.array_equal(none, picture)
    assert np.abs(half - (none.astype(float) + full) / 2).max() <= 1


def test_the_frame_given_is_not_written_to_and_far_pixels_are_identical():
    frame = astronaut()
    before = frame.copy()
    matrix = fit_similarity(ASTRONAUT_ANCHORS)
    face = np.random.default_rng(0).random((256, 256, 3), dtype=np.float32)
    pasted = paste_face(frame, face, matrix, MASK)
    np.testing.assert_array_equal(frame, before)
    outside = ~where_hole(matrix, frame.shape, 11)
    np.testing.assert_array_equal(pasted[outside], frame[outside])
    assert (pasted[where_hole(matrix, frame.shape)] != frame[where_hole(matrix, frame.shape)]).mean() > 0.9


@pytest.mark.parametrize("cast", [(18, -12, 8), (-25, -25, -25)], ids=["tint", "darker"])
def test_a_colour_cast_leaves_no_seam(cast):
    frame, matrix = gradient(), matrix_for()
    face = np.clip(crop_face(frame, matrix).astype(int) + cast, 0, 255).astype(np.uint8)
    own = visible_edge(frame, matrix)
    matched = paste_face(frame, face, matrix, MASK)
    unmatched = paste_face(frame, face, matrix, MASK, colour_shift=np.zeros((64, 64, 3), dtype=np.float32))
    assert abs(visible_edge(matched, matrix) - own) < 0.5
    assert visible_edge(unmatched, matrix) > own + 6
    assert np.abs(matched.astype(int) - frame).max() <= 2


def test_a_cast_that_differs_from_left_to_right_leaves_no_seam():
    frame, matrix = gradient(), matrix_for()
    slope = np.linspace(-14, 14, 256)[None, :, None]
    face = np.clip(crop_face(frame, matrix) + slope, 0, 255).astype(np.uint8)
    pasted = paste_face(frame, face, matrix, MASK)
    edge = where_hole(matrix, frame.shape, 10) & ~_shrunk(where_hole(matrix, frame.shape), 4)
    assert np.abs(pasted.astype(int) - frame)[edge].mean() < 1.5
    unmatched = paste_face(frame, face, matrix, MASK, colour_shift=np.zeros((64, 64, 3), dtype=np.float32))
    assert np.abs(unmatched.astype(int) - frame)[edge].mean() > 3


def test_another_chin_below_the_hole_is_not_taken_for_a_colour_cast():
    """Where both pictures show different things, their difference says nothing of colour."""
    frame, matrix = astronaut(), fit_similarity(ASTRONAUT_ANCHORS)
    face = crop_face(frame, matrix)
    face[225:, 60:200] = (240, 30, 30)
    shift = measure_shift(frame, face, matrix, MASK)
    assert np.abs(shift[30:50, 20:44]).max() < 4


def test_the_colour_shift_is_steady_over_time():
    """Fresh noise in each frame, as decoders make it, moves the shift by a fraction of a level: no flicker."""
    frame, matrix = astronaut(), fit_similarity(ASTRONAUT_ANCHORS)
    rng = np.random.default_rng(0)
    crop = crop_face(frame, matrix).astype(np.float32)
    shifts = []
    for _ in range(6):
        noise = cv2.GaussianBlur(rng.normal(scale=12, size=crop.shape).astype(np.float32), (0, 0), 1.5)
        face = np.clip(crop + noise + 5, 0, 255).astype(np.uint8)
        shifts.append(measure_shift(frame, face, matrix, MASK))
    assert np.std(shifts, axis=0).max() < 1.0


def test_floats_and_levels_give_the_same_picture():
    frame, matrix = gradient(), matrix_for()
    face = np.roll(crop_face(frame, matrix), 9, axis=0)
    from_levels = paste_face(frame, face, matrix, MASK)
    from_floats = paste_face(frame, face.astype(np.float32) / 255, matrix, MASK[0, 0])
    assert np.abs(from_levels.astype(int) - from_floats).max() <= 1


@pytest.mark.parametrize("shift", [(-150.0, 100.0), (330.0, 60.0), (100.0, 300.0), (5000.0, 0.0)])
def test_a_face_over_the_edge_of_the_frame_is_pasted_as_far_as_it_reaches(shift):
    frame, matrix = gradient(), matrix_for(shift=shift)
    face = np.zeros((256, 256, 3), dtype=np.uint8)
    pasted = paste_face(frame, face, matrix, MASK)
    assert pasted.shape == frame.shape
    outside = ~where_hole(matrix, frame.shape, 11)
    np.testing.assert_array_equal(pasted[outside], frame[outside])


def test_a_face_smaller_than_the_crop_is_averaged_not_skipped():
    """A fine checkerboard on a small face averages to grey instead of turning into a moire."""
    frame, matrix = np.full((400, 400, 3), 128, dtype=np.uint8), matrix_for(0.25, angle=0.0)
    face = np.full((256, 256, 3), 28, dtype=np.uint8)
    face[::2, ::2] = face[1::2, 1::2] = 228
    pasted = paste_face(frame, face, matrix, MASK, colour_shift=np.zeros((64, 64, 3), dtype=np.float32))
    assert np.abs(pasted.astype(int) - 128).max() < 25


def test_a_mask_or_face_of_the_wrong_size_is_refused():
    frame, matrix = gradient(), matrix_for()
    with pytest.raises(ValueError, match="mask"):
        paste_face(frame, np.zeros((128, 128, 3), dtype=np.uint8), matrix, MASK)
    with pytest.raises(ValueError, match=r"\(R, R, 3\)"):
        paste_face(frame, np.zeros((256, 128, 3), dtype=np.uint8), matrix, MASK)


@pytest.mark.parametrize("case", [0, 1])
def test_the_oracle_reproduces_the_recorded_paste(case):
    with np.load(reference.PARITY / "align" / f"warp_{case}.npz") as recorded:
        restored = recorded["restored_u8"]
        frame = reference.test_image(restored.shape[1], restored.shape[0])
        stages = reference.paste_canvas(frame, reference.recorded_face(), recorded["matrix"].astype(np.float64))
        for stage in ("inv_mask", "eroded_mask", "center_mask", "soft_mask"):
            np.testing.assert_allclose(stages[stage][::2, ::2], recorded[f"{stage}_step2"], atol=1e-3)
        inv_face = stages["inv_face"].transpose(2, 0, 1)[:, ::4, ::4]
        np.testing.assert_allclose(inv_face, recorded["inv_face_step4"], atol=1e-2)
        difference = np.abs(stages["restored"].astype(np.uint8).astype(int) - restored)
        assert (difference > 0).mean() < 0.01
        assert (difference > 1).mean() < 1e-4


def test_our_paste_agrees_with_the_reference_where_both_write_the_whole_face():
    """Well inside the hole both show the generated face; ours up to a level brighter, as it rounds."""
    frame, matrix = gradient(), matrix_for(1.0, angle=0.1)
    levels = np.clip(np.roll(crop_face(frame, matrix).astype(int), 5, axis=1) - 6, 0, 255).astype(np.uint8)
    canvas = cv2.resize(levels, (210, 280), interpolation=cv2.INTER_AREA).astype(np.float64) / 127.5 - 1
    theirs = reference.paste_canvas(frame, canvas, matrix)["restored"]
    no_match = np.zeros((64, 64, 3), dtype=np.float32)
    ours = paste_face(frame, levels, matrix, MASK, colour_shift=no_match).astype(float)
    inside = _shrunk(where_hole(matrix, frame.shape), 12)
    assert np.abs(ours - theirs)[inside].max() < 2
