"""Lip-shape targets."""

import numpy as np

from latentsync_core.data_preparation.face_mesh import mouth_opening
from latentsync_core.training.lip_shape import fit_lip_shape


def meshes() -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.uniform(0, 256, (1, 468, 2)) + generator.normal(0, 2, (40, 468, 2)) for _ in range(3)]


def test_the_first_target_is_the_mouth_opening():
    clips = meshes()
    projected = fit_lip_shape(clips).project(clips[0])
    assert projected.shape == (40, 8)
    assert np.corrcoef(projected[:, 0], mouth_opening(clips[0]))[0, 1] > 0.9999


def test_targets_are_movement_with_unit_spread_and_do_not_know_the_person():
    clips = meshes()
    basis = fit_lip_shape(clips)
    together = np.concatenate([basis.project(clip) for clip in clips])
    assert np.allclose(together.std(0), 1, atol=0.1)
    assert np.abs([np.median(basis.project(clip), axis=0) for clip in clips]).max() < 1e-6


def test_moving_the_whole_face_changes_nothing():
    clips = meshes()
    basis = fit_lip_shape(clips)
    assert np.allclose(basis.project(clips[0]), basis.project(clips[0] + np.array([30.0, -12.0])), atol=1e-5)
