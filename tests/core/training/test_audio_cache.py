"""The cache of audio states: what a frame hears is what the encoder gives, until sound or encoder change."""

import numpy as np
import torch

from latentsync_core.audio.audio_windows import cut_audio_windows
from latentsync_core.audio.mel_audio_encoder import MelAudioEncoder
from latentsync_core.training.audio_cache import cache_audio
from latentsync_core.training.face_clips import read_face_clips
from tests.core.training.small_clips import save_small_clips


def test_frames_hear_the_encoders_states_and_a_changed_sound_or_encoder_is_heard_anew(tmp_path):
    (clip,) = read_face_clips(save_small_clips(tmp_path / "clips", {"a": 1}, frames=12, side=8))
    torch.manual_seed(0)
    encoder = MelAudioEncoder(16, num_shape_components=2).eval()
    cache = tmp_path / "cache"
    cached = cache_audio(clip, cache, encoder, "one")
    expected = cut_audio_windows(encoder.encode(torch.from_numpy(clip.pcm)), 12, context_frames=1)
    heard = cached.windows(np.array([0, 5, 11]), context_frames=1)
    assert torch.equal(heard, expected[[0, 5, 11]].half().float())
    assert heard.shape == (3, 6, 18)
    written = cached.path.stat().st_mtime_ns
    assert cache_audio(clip, cache, encoder, "one").path.stat().st_mtime_ns == written
    others = {cache_audio(clip, cache, encoder, *settings).path for settings in (("two",), ("one", 1))}
    np.save(clip.folder / "pcm.npy", np.zeros(12 * 640 + 1, np.int16))
    others.add(cache_audio(clip, cache, encoder, "one").path)
    assert len(others | {cached.path}) == 4
