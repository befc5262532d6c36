"""The cache of latents: pure, keyed by what it depends on."""

import numpy as np
import torch

from latentsync_core.models.autoencoder import SpaceToDepthAutoencoder
from latentsync_core.training.face_clips import read_face_clips
from latentsync_core.training.latent_cache import cache_latents, draw_references, draw_surroundings
from tests.core.training.small_clips import save_small_clips


def test_latents_are_read_back_and_made_anew_when_mask_or_weights_change(tmp_path):
    clips = read_face_clips(save_small_clips(tmp_path / "clips", {"a": 1}, frames=6, side=32))
    torch.manual_seed(0)
    vae = SpaceToDepthAutoencoder(latent_channels=4, widths=(16, 16, 8), blocks=(1, 1, 1))
    mask = torch.ones(1, 1, 32, 32)
    mask[..., 16:, :] = 0

    def cache():
        return cache_latents(
            clips, tmp_path / "cache", vae, mask, 0, frame_stride=2, frames_at_most=10, one_reference=False
        )[0]

    first = cache()
    assert first.latents.shape == first.masked.shape == first.references.shape == (3, 4, 2, 2)
    assert first.frames.tolist() == [0, 2, 4]
    assert not np.allclose(first.latents, first.masked)
    modified = first.path.stat().st_mtime_ns
    assert cache().path.stat().st_mtime_ns == modified
    mask = mask.flip(2)  # another hole of the same size
    assert cache().path != first.path
    mask = mask.flip(2)
    with torch.no_grad():
        vae.encoder[1].bias += 1
    assert cache().path != first.path
    with torch.no_grad():
        vae.encoder[1].bias -= 1
    again = cache().path
    np.save(clips[0].folder / "crops.npy", 255 - np.asarray(clips[0].crops))  # prepared anew
    assert cache().path != again


def test_each_frame_has_a_reference_of_the_clip_or_all_have_one(tmp_path):
    (clip,) = read_face_clips(save_small_clips(tmp_path, {"a": 1}, frames=9, side=32))
    np.save(clip.folder / "mesh.npy", np.repeat(np.load(clip.folder / "mesh.npy")[:1], 9, axis=0))  # one pose: no turn
    frames = np.arange(0, 9, 2)

    def drawn_from(references):
        return [int(np.abs(clip.crops - each.astype(int)).sum((1, 2, 3)).argmin()) for each in references]

    each = drawn_from(draw_references(clip, frames, 0, one_reference=False))
    assert len(each) == len(frames)
    assert len(set(each)) > 1
    assert drawn_from(draw_references(clip, frames, 0, one_reference=False)) == each
    assert drawn_from(draw_references(clip, frames, 1, one_reference=False)) != each
    assert len(set(drawn_from(draw_references(clip, frames, 0, one_reference=True)))) == 1


def test_some_frames_are_surrounded_by_another_frame_of_the_clip(tmp_path):
    (clip,) = read_face_clips(save_small_clips(tmp_path, {"a": 1}, frames=9, side=32))
    np.save(clip.folder / "mesh.npy", np.repeat(np.load(clip.folder / "mesh.npy")[:1], 9, axis=0))  # one pose: no turn
    frames = np.arange(9)
    crops = np.asarray(clip.crops)

    def changed(share):
        return (draw_surroundings(clip, frames, 0, crops, share) != crops).any((1, 2, 3))

    assert not changed(0.0).any()
    assert changed(1.0).sum() > 4  # a frame may be drawn for itself
    assert 0 < changed(0.5).sum() < changed(1.0).sum()
    assert (changed(0.5) == changed(0.5)).all()


def test_other_surroundings_change_what_is_seen_and_not_the_target(tmp_path):
    clips = read_face_clips(save_small_clips(tmp_path / "clips", {"a": 1}, frames=6, side=32))
    torch.manual_seed(0)
    vae = SpaceToDepthAutoencoder(latent_channels=4, widths=(16, 16, 8), blocks=(1, 1, 1))
    mask = torch.ones(1, 1, 32, 32)
    mask[..., 16:, :] = 0
    (own,) = cache_latents(clips, tmp_path / "cache", vae, mask, 0, 1, 6, one_reference=False)
    (other,) = cache_latents(clips, tmp_path / "cache", vae, mask, 0, 1, 6, one_reference=False, other_surroundings=1.0)
    assert own.path != other.path
    assert (own.latents == other.latents).all()
    assert (own.references == other.references).all()
    assert (own.masked != other.masked).any()
