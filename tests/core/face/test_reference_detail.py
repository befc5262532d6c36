"""Detail of the reference: all of it where the faces agree, none where they do not."""

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


def test_it_stays_within_the_grey_levels():
    white, dark = np.full((SIDE, SIDE, 3), 250, np.uint8), np.full((SIDE, SIDE, 3), 240, np.uint8)
    assert restore_detail(white, white, dark).max() == 255
