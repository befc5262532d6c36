"""Detail of the reference: all of it where the faces agree, carried along where they moved, none where they differ."""

import cv2
import numpy as np

from latentsync_core.face.reference_detail import restore_detail

SIDE = 64


def test_a_face_like_its_reference_gets_back_what_the_autoencoder_lost():
    reconstruction = np.full((SIDE, SIDE, 3), 100, np.uint8)
    reference = reconstruction + np.random.default_rng(0).integers(0, 20, (SIDE, SIDE, 3), dtype=np.uint8)
    assert np.array_equal(restore_detail(reconstruction, reference, reconstruction), reference)


def test_where_the_mouth_moved_nothing_of_the_reference_comes_through():
    reconstruction = np.full((SIDE, SIDE, 3), 60, np.uint8)
    reference = reconstruction + np.random.default_rng(0).integers(0, 20, (SIDE, SIDE, 3), dtype=np.uint8)
    face = reconstruction.copy()
    face[:, SIDE // 2 :] = 200
    restored = restore_detail(face, reference, reconstruction)
    assert np.array_equal(restored[:, SIDE // 2 + 4 :], face[:, SIDE // 2 + 4 :])
    assert np.array_equal(restored[:, : SIDE // 2 - 8], reference[:, : SIDE // 2 - 8])


def test_detail_goes_along_with_the_part_that_moved():
    side, down = 128, 6
    generator = np.random.default_rng(0)
    shapes = cv2.GaussianBlur(generator.uniform(0, 255, (side, side)).astype(np.float32), (0, 0), 6)
    shapes = np.clip(128 + 6 * (shapes - shapes.mean()), 40, 215)  # soft, as an autoencoder leaves them
    lost = cv2.GaussianBlur(generator.normal(0, 40, (side, side)).astype(np.float32), (0, 0), 1)
    reconstruction, reference = (
        np.repeat(picture.round().astype(np.uint8)[..., None], 3, axis=2) for picture in (shapes, shapes + lost)
    )
    face, wanted = np.roll(reconstruction, down, axis=0), np.roll(reference, down, axis=0)
    inner = np.s_[24:-24, 24:-24]
    restored = restore_detail(face, reference, reconstruction)[inner].astype(float)
    added, missing = restored - face[inner], wanted[inner].astype(float) - face[inner]
    assert np.corrcoef(added.ravel(), missing.ravel())[0, 1] > 0.8
    stays = (reference.astype(float) - reconstruction)[inner]  # where the detail was
    assert abs(np.corrcoef(added.ravel(), stays.ravel())[0, 1]) < 0.3


def test_it_stays_within_the_grey_levels():
    white, dark = np.full((SIDE, SIDE, 3), 250, np.uint8), np.full((SIDE, SIDE, 3), 240, np.uint8)
    assert restore_detail(white, white, dark).max() == 255
