"""SyncNet's windows: their own sound or another instant's, and nothing but the index decides."""

import numpy as np
import pytest
import torch

from latentsync_core.audio.mel import cut_mel_window, syncnet_mel
from latentsync_core.errors import UnreadableMedia
from latentsync_core.models.autoencoder import SpaceToDepthAutoencoder
from latentsync_core.training.face_clips import read_face_clips
from latentsync_core.training.sync_windows import SyncClip, SyncItem, SyncWindows, open_sync_clips
from latentsync_core.training.window_changes import change_mel, change_pictures
from tests.core.training.talking_clips import save_talking_clips

FRAMES = 5


@pytest.fixture
def faces(tmp_path):
    return read_face_clips(save_talking_clips(tmp_path / "faces", {"a": "train", "b": "train"}))


def start_of(item: SyncItem, clips: list[SyncClip]) -> tuple[SyncClip, int]:
    """Find the window by its pictures, slowly."""
    for clip in clips:
        pixels = np.asarray(clip.clip.crops[:, clip.clip.crops.shape[1] // 2 :]).astype(np.float32) / 127.5 - 1
        for start in range(len(pixels) - FRAMES + 1):
            wanted = np.concatenate([pixels[start + i].transpose(2, 0, 1) for i in range(FRAMES)])
            if np.allclose(item.frames.numpy(), wanted, atol=1e-6):
                return clip, start
    raise AssertionError("no such window")


def test_half_the_windows_hear_themselves_and_half_another_instant_of_their_clip(faces, tmp_path):
    clips = open_sync_clips(faces, tmp_path / "cache", 32)
    windows = SyncWindows(clips, FRAMES, seed=3, min_shift=4)
    assert [float(windows[index].label) for index in range(6)] == [1, 0, 1, 0, 1, 0]
    for index in range(12):
        item = windows[index]
        clip, start = start_of(item, clips)
        mel = syncnet_mel(torch.from_numpy(clip.clip.pcm))
        heard = [s for s in range(56) if torch.equal(cut_mel_window(mel, s, FRAMES), item.mel[0])]
        if item.label:
            assert start in heard
        else:
            assert heard
            assert all(abs(other - start) >= 4 for other in heard)


def test_an_item_is_a_function_of_index_and_seed(faces, tmp_path):
    clips = open_sync_clips(faces, tmp_path / "cache", 32)
    windows = SyncWindows(clips, FRAMES, seed=3, augment=True)
    np.random.seed(1)
    torch.manual_seed(1)
    first = windows[7]
    [windows[index] for index in range(5)]
    assert all(torch.equal(*pair) for pair in zip(first, windows[7], strict=True))
    again = SyncWindows(open_sync_clips(faces, tmp_path / "cache", 32), FRAMES, seed=3, augment=True)[7]
    assert all(torch.equal(*pair) for pair in zip(first, again, strict=True))
    other_seed = SyncWindows(clips, FRAMES, seed=4, augment=True)
    assert not torch.equal(first.frames, other_seed[7].frames)


@pytest.mark.parametrize("frames", [5, 16, 25])
@pytest.mark.parametrize("samples", [9000, 15999, 16000, 20001, 38400])
def test_windows_end_where_the_sound_or_the_picture_does(tmp_path, frames, samples):
    face = read_face_clips(save_talking_clips(tmp_path / "faces", {"a": "train"}))[0]
    np.save(face.folder / "pcm.npy", np.ones(samples, np.int16))
    clip = open_sync_clips([face], tmp_path / "cache", 32)[0]
    mel = syncnet_mel(torch.from_numpy(face.pcm))
    whole = [s for s in range(60 - frames + 1) if cut_mel_window(mel, s, frames) is not None]
    assert clip.count_starts(frames) == len(whole)


def test_smaller_faces_are_cached_and_made_anew_when_the_clip_changes(faces, tmp_path):
    clip = open_sync_clips(faces, tmp_path / "cache", 16)[0]
    assert clip.pictures.shape == (60, 3, 8, 16)
    brightness = np.asarray(faces[0].crops[:, 16:]).mean((1, 2, 3))
    assert np.abs(clip.pictures.mean((1, 2, 3)) - brightness).max() < 1
    assert open_sync_clips(faces, tmp_path / "cache", 16)[0].pictures_path == clip.pictures_path
    np.save(faces[0].folder / "crops.npy", np.zeros((60, 32, 32, 3), np.uint8))
    changed = read_face_clips(faces[0].folder.parent)
    assert open_sync_clips(changed, tmp_path / "cache", 16)[0].pictures.max() == 0


def test_latents_are_the_lower_half_of_the_encoded_whole_face(faces, tmp_path):
    torch.manual_seed(0)
    vae = SpaceToDepthAutoencoder(
        latent_channels=4, widths=(8, 8, 8), blocks=(0, 0, 0), scaling_factor=2.0, shift_factor=0.25
    )
    clip = open_sync_clips(faces, tmp_path / "cache", 32, vae.eval())[0]
    assert clip.pictures.shape == (60, 4, 1, 2)
    pixels = torch.from_numpy(np.array(faces[0].crops[40])).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.no_grad():
        by_hand = 2.0 * (vae.encoder(pixels)[0] - 0.25)
    assert torch.allclose(torch.from_numpy(np.float32(clip.pictures[40])), by_hand[:, 1:], atol=1e-3)
    item = SyncWindows(open_sync_clips(faces, tmp_path / "cache", 32, vae), FRAMES, seed=0)[0]
    assert item.frames.shape == (FRAMES * 4, 1, 2)


@pytest.mark.parametrize("damage", ["truncated", "fewer frames", "silent"])
def test_a_broken_clip_is_named_when_the_index_is_built(tmp_path, damage):
    faces = read_face_clips(save_talking_clips(tmp_path / "faces", {"good": "train", "bad": "train"}))
    bad = tmp_path / "faces" / "bad-0"
    if damage == "truncated":
        content = (bad / "crops.npy").read_bytes()
        (bad / "crops.npy").write_bytes(content[: len(content) // 2])
    elif damage == "fewer frames":
        np.save(bad / "crops.npy", np.zeros((59, 32, 32, 3), np.uint8))
    else:
        np.save(bad / "pcm.npy", np.zeros(0, np.int16))
    with pytest.raises(UnreadableMedia, match="bad-0"):
        open_sync_clips(faces, tmp_path / "cache", 32)


def test_clips_without_room_for_a_wrong_sound_are_left_out(tmp_path):
    root = save_talking_clips(tmp_path / "faces", {"long": "train"})
    save_talking_clips(root, {"short": "train"}, frames=20)
    clips = open_sync_clips(read_face_clips(root), tmp_path / "cache", 32)
    windows = SyncWindows(clips, 16, seed=0, min_shift=5)
    assert [clip.clip.identity for clip in windows.clips] == ["long"]
    with pytest.raises(UnreadableMedia, match="windows of 16 frames"):
        SyncWindows([clip for clip in clips if clip.clip.identity == "short"], 16, seed=0, min_shift=5)


def test_several_windows_of_a_clip_follow_each_other_with_their_own_sound(faces, tmp_path):
    clips = open_sync_clips(faces, tmp_path / "cache", 32)
    windows = SyncWindows(clips, FRAMES, seed=3, min_shift=6, per_clip=4)
    seen = []
    for first in range(0, 40, 4):
        items = [windows[first + number] for number in range(4)]
        clip, _ = start_of(items[0], clips)
        mel = syncnet_mel(torch.from_numpy(clip.clip.pcm))
        starts = [s for item in items for s in range(56) if torch.equal(cut_mel_window(mel, s, FRAMES), item.mel[0])]
        assert len(starts) == 4  # all of this clip
        assert min(np.diff(starts)) >= 6
        for start, item in zip(starts, items, strict=True):
            own = np.asarray(clip.clip.crops[start : start + FRAMES, 16:]).transpose(0, 3, 1, 2) / 127.5 - 1
            assert np.allclose(item.frames.unflatten(0, (FRAMES, 3)), own, atol=1e-6)
            assert item.label == 1
        seen += starts
    assert min(seen) < 5
    assert max(seen) > 50  # all of a clip is drawn from, to its last window


def test_all_frames_of_a_window_are_changed_alike():
    ramp = np.linspace(50, 200, 64).astype(np.uint8)
    frames = np.broadcast_to(ramp, (4, 3, 32, 64)).copy()
    changed = change_pictures(frames, np.random.default_rng(1))
    assert changed.dtype == np.float32
    assert (changed == changed[:1]).all()
    assert not np.allclose(changed, frames / 127.5 - 1, atol=0.01)


def test_pictures_are_mirrored_and_shifted_by_a_few_pixels_only():
    frames = np.zeros((1, 3, 64, 128), np.uint8)
    frames[:, :, 30, 40] = 255
    places = set()
    for seed in range(200):
        row, column = np.unravel_index(change_pictures(frames, np.random.default_rng(seed))[0, 1].argmax(), (64, 128))
        places.add((row, column))
    rows, columns = {row for row, _ in places}, {column for _, column in places}
    assert rows == set(range(26, 35))
    assert columns == set(range(36, 45)) | set(range(127 - 44, 127 - 35))


def test_the_changes_of_a_sound_keep_its_instants():
    mel = np.full((80, 52), -3.0, np.float32)
    mel[:, 20:24] = 2.0  # one loud syllable
    for seed in range(20):
        changed = change_mel(mel, np.random.default_rng(seed))
        assert changed.dtype == np.float32
        assert (changed[:, :20] == changed[:, :1]).all()
        assert (changed[:, 24:] == changed[:, :1]).all()
        assert changed[:, 22].mean() > changed[:, 0].mean() + 1
        assert np.abs(changed).max() <= 4
