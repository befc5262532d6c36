"""The windows that the U-Net learns from."""

import numpy as np
import torch

from latentsync_core.audio.mel import cut_mel_window, syncnet_mel
from latentsync_core.audio.mel_audio_encoder import SHAPE_GAIN
from latentsync_core.training.audio_cache import CachedAudio
from latentsync_core.training.face_clips import read_face_clips
from latentsync_core.training.latent_cache import LatentClip, show_frames
from latentsync_core.training.quiet_rooms import closed_frames
from latentsync_core.training.unet_windows import WindowSampler, whole_mel
from tests.core.training.small_clips import save_small_clips
from tests.core.training.small_unet import recipe


def test_a_batch_is_a_function_of_its_step(tmp_path):
    sampler = some_sampler(tmp_path, window_frames=3)
    first, again, other = sampler.batch(4), sampler.batch(4), sampler.batch(5)
    assert torch.equal(first.target, again.target)
    assert torch.equal(first.audio, again.audio)
    assert not torch.equal(first.target, other.target)


def test_a_window_hears_its_own_frames_and_sees_their_references(tmp_path):
    batch = some_sampler(tmp_path, window_frames=3, audio_dropout=0.0).batch(0)
    numbers = batch.target[:, 0, :, 0, 0]
    assert torch.equal(numbers.diff(dim=1), torch.full((4, 2), 2.0))  # every second frame is cached
    assert torch.equal(batch.audio[:, :, 0, 0], numbers)
    assert torch.equal(batch.reference[:, 0, :, 0, 0], numbers + 100)


def test_the_true_lip_shape_stands_where_the_prediction_does(tmp_path):
    changes = {"audio_dropout": 0.0, "true_shape_share": 1.0, "true_shape_noise": 0.0}
    batch = some_sampler(tmp_path, window_frames=3, **changes).batch(0)
    numbers = batch.target[:, 0, :, 0, 0]
    assert torch.equal(batch.audio[:, :, 0, 0], numbers)  # the hidden channels stay
    assert torch.equal(batch.audio[..., -3:], SHAPE_GAIN * numbers[:, :, None, None].expand(-1, -1, 10, 3))


def test_closed_lips_hear_a_quiet_room(tmp_path):
    sampler = some_sampler(tmp_path, stride=1, audio_dropout=0.0, quiet_share=1.0)
    rooms = [torch.full((100, 5, 8), -1.0), torch.full((100, 5, 8), -2.0)]
    quiet = WindowSampler(sampler.clips, sampler.audio, sampler.shapes, sampler.recipe, rooms=rooms)
    batches = [quiet.batch(number) for number in range(10)]
    assert {float(value) for batch in batches for value in batch.audio.unique()} == {-1.0, -2.0}
    closed = set(np.flatnonzero(closed_frames(sampler.clips[0].clip)))
    closed |= set(np.flatnonzero(closed_frames(sampler.clips[1].clip)))
    shown = {int(number) for batch in batches for number in batch.target[:, 0, :, 0, 0].flatten()}
    assert shown == closed
    assert len(closed) < 5  # of 12 frames


def some_sampler(tmp_path, variant: int = 0, with_mels: bool = False, stride: int = 2, **changes) -> WindowSampler:
    """Two clips whose latents and audio windows all hold the number of their frame."""
    clips = read_face_clips(save_small_clips(tmp_path / "clips", {"a": 1, "b": 1}, side=8))
    cached, audio, shapes = [], {}, {}
    for clip in clips:
        numbers = np.arange(0, clip.num_frames, stride)
        latents = np.broadcast_to(numbers[:, None, None, None], (len(numbers), 4, 2, 2)).astype(np.float16)
        path = tmp_path / f"{clip.folder.name}.npz"
        np.savez(path, frames=numbers, latents=latents, masked=latents, references=latents + 100)
        cached.append(LatentClip(path, clip, variant))
        states = np.broadcast_to(np.arange(clip.num_frames).repeat(2)[:, None, None], (2 * clip.num_frames, 5, 8))
        np.save(tmp_path / f"{clip.folder.name}.npy", states.astype(np.float16))
        audio[clip.folder.name] = [CachedAudio(tmp_path / f"{clip.folder.name}.npy")]
        shapes[clip.folder.name] = np.repeat(np.arange(clip.num_frames, dtype=np.float32)[:, None], 3, axis=1)
    mels = {clip.folder.name: whole_mel(clip) for clip in clips} if with_mels else None
    return WindowSampler(cached, audio, shapes, recipe(tmp_path, batch_size=4, context_frames=0, **changes), mels)


def test_pictures_and_mel_are_those_of_the_windows_frames(tmp_path):
    changes = {"window_frames": 3, "audio_dropout": 0.0, "stride": 1}
    sampler = some_sampler(tmp_path, variant=3, with_mels=True, **changes)
    batch = sampler.batch(0)
    assert batch.pictures.shape == (4, 3, 3, 8, 8)
    assert batch.mel.shape == (4, 1, 80, 10)  # 3 frames are 9.6 columns
    firsts = batch.target[:, 0, 0, 0, 0].int().tolist()
    found = []
    for first, pictures, mel in zip(firsts, batch.pictures, batch.mel, strict=True):
        for clip in read_face_clips(tmp_path / "clips"):
            seen = show_frames(clip, np.arange(first, first + 3), 3).astype(np.float32)
            if np.allclose(pictures.numpy(), seen.transpose(3, 0, 1, 2) / 127.5 - 1, atol=1e-6):
                expected = syncnet_mel(torch.from_numpy(clip.pcm))[:, first * 80 // 25 :]
                assert torch.allclose(mel[0], expected[:, :10], atol=1e-5)
                found.append(clip.folder.name)
    assert len(found) == 4


def test_pictures_change_nothing_that_is_drawn(tmp_path):
    without = some_sampler(tmp_path / "a", window_frames=3).batch(2)
    with_them = some_sampler(tmp_path / "b", with_mels=True, window_frames=3).batch(2)
    assert without.pictures is None
    for name in ("target", "masked", "reference", "audio"):
        assert torch.equal(getattr(without, name), getattr(with_them, name))


def test_the_last_window_is_heard_though_the_sound_ends_early(tmp_path):
    (clip,) = read_face_clips(save_small_clips(tmp_path, {"a": 1}, frames=9, side=8))
    np.save(clip.folder / "pcm.npy", np.load(clip.folder / "pcm.npy")[:3000])
    for length in range(1, 10):
        assert cut_mel_window(whole_mel(clip), 9 - length, length) is not None
