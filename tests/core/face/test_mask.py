"""The fixed mask against the recorded one, and its polarity."""

import cv2
import numpy as np
import pytest

from latentsync_core.errors import BadCheckpoint
from latentsync_core.face.mask import load_mask, official_mask
from tests.core.face.reference_alignment import PARITY


def recorded(name: str) -> np.ndarray:
    with np.load(PARITY / "mask" / "mask.npz") as arrays:
        return arrays[name]


def test_the_drawn_mask_differs_from_the_recorded_one_in_less_than_one_percent_of_its_cells():
    assert ((official_mask(64)[0, 0] > 0.5) != recorded("mask_keep_64")).mean() < 0.01


def test_what_reaches_the_latents_is_what_the_models_were_trained_with():
    assert np.mean(official_mask(256)[0, 0, ::8, ::8] != recorded("mask_latent_of_256")) < 0.01
    assert np.abs(official_mask(512)[0, 0, ::8, ::8] - recorded("mask_latent_of_512")).mean() < 0.005


def test_eyes_are_kept_and_the_mouth_is_generated():
    mask = official_mask(256)
    assert mask.shape == (1, 1, 256, 256)
    assert mask.dtype == np.float32
    assert mask[0, 0, 60, 128] == 1
    assert mask[0, 0, 180, 128] == 0
    assert mask[0, 0, 110, 128] == 1  # the nose between the cheeks
    assert mask[0, 0, 110, 40] == 0
    assert set(np.unique(mask)) == {0.0, 1.0}
    assert abs((mask == 0).mean() - 0.407) < 0.002


@pytest.mark.parametrize("resolution", [64, 128, 256, 512])
def test_a_mask_written_as_a_picture_is_read_back(tmp_path, resolution):
    path = tmp_path / "mask.png"
    cv2.imwrite(str(path), (official_mask(256)[0, 0] * 255).astype(np.uint8))
    np.testing.assert_array_equal(load_mask(path, resolution), official_mask(resolution))


def test_a_missing_a_blank_or_an_oblong_mask_is_refused(tmp_path):
    path = tmp_path / "mask.png"
    with pytest.raises(BadCheckpoint, match="square"):
        load_mask(path, 256)
    cv2.imwrite(str(path), np.full((256, 256), 255, dtype=np.uint8))
    with pytest.raises(BadCheckpoint, match="every pixel"):
        load_mask(path, 256)
    cv2.imwrite(str(path), np.zeros((256, 128), dtype=np.uint8))
    with pytest.raises(BadCheckpoint, match="square"):
        load_mask(path, 256)
