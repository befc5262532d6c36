"""The offset between sound and picture: measured on made-up clips whose offset is known."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from latentsync_core.data_preparation.dropped import Dropped
from latentsync_core.data_preparation.face_mesh import mouth_opening
from latentsync_core.data_preparation.sync_offset import (
    AlignedClip,
    MouthLoudness,
    SyncOffset,
    best_lag,
    judge_offset,
    make_offset_meter,
    voice_loudness,
)
from latentsync_core.data_preparation.syncnet_offset import SyncNetOffset
from latentsync_core.errors import BadCheckpoint
from latentsync_core.face.mediapipe_backend import FOREHEAD_AND_CHIN, INNER_LIPS
from latentsync_core.models.syncnet import StableSyncNet
from latentsync_core.models.syncnet_config import SyncNetConfig

FRAMES = 100
TINY = {
    "audio_encoder": {"in_channels": 1, "block_out_channels": [32, 32], "downsample_factors": [[80, 26], [1, 2]]},
    "visual_encoder": {"in_channels": 48, "block_out_channels": [32, 32], "downsample_factors": [[4, 8], 2]},
}


pytestmark = pytest.mark.usefixtures("one_torch_thread")


def clip_with_offset(offset: int, seed: int = 0) -> AlignedClip:
    """A mouth that opens at random, brightness and a hissing sound that follow it `offset` frames later."""
    random = np.random.default_rng(seed)
    opening = np.convolve(random.uniform(0, 1, FRAMES + 40), np.hanning(6) / 2.5, mode="same")
    seen, heard = opening[20 : 20 + FRAMES], opening[20 - offset : 20 - offset + FRAMES]
    mesh = np.zeros((FRAMES, 468, 2), np.float32)
    mesh[:, FOREHEAD_AND_CHIN[1], 1] = 100
    mesh[:, INNER_LIPS[1], 1] = 20 * seen
    crops = np.broadcast_to((255 * seen / seen.max()).astype(np.uint8)[:, None, None, None], (FRAMES, 8, 16, 3))
    noise = random.standard_normal(FRAMES * 640)
    pcm = (3000 * np.repeat(heard, 640) ** 2 * noise).clip(-32768, 32767).astype(np.int16)
    return AlignedClip(np.ascontiguousarray(crops), mesh, pcm)


@pytest.mark.parametrize("offset", [-6, -1, 0, 3, 6])
def test_mouth_and_loudness_tell_the_offset_of_a_clear_case(offset):
    found = MouthLoudness().measure_offset(clip_with_offset(offset))
    assert found is not None
    assert found.frames == offset
    assert found.confidence > 0.5


def test_the_best_lag_agrees_with_a_plain_loop():
    random = np.random.default_rng(1)
    picture, sound = random.standard_normal((2, 40))
    slow = {}
    for lag in range(-6, 7):
        pairs = [(picture[n], sound[n + lag]) for n in range(40) if 0 <= n + lag < 40]
        slow[lag] = np.corrcoef(np.array(pairs).T)[0, 1]
    found = best_lag(picture, sound, 6)
    assert found is not None
    assert found.frames == max(slow, key=slow.__getitem__)
    assert found.confidence == pytest.approx(max(slow.values()))


def test_a_still_mouth_silence_or_a_short_clip_tell_nothing():
    clip = clip_with_offset(0)
    assert (
        MouthLoudness().measure_offset(AlignedClip(clip.crops, np.repeat(clip.mesh[:1], FRAMES, 0), clip.pcm)) is None
    )
    assert MouthLoudness().measure_offset(AlignedClip(clip.crops, clip.mesh, np.zeros_like(clip.pcm))) is None
    assert MouthLoudness().measure_offset(AlignedClip(clip.crops[:10], clip.mesh[:10], clip.pcm[:6400])) is None


def test_loudness_rises_by_twenty_decibels_with_ten_times_the_amplitude():
    tone = np.sin(2 * np.pi * 1000 * np.arange(12 * 640) / 16000)
    levels = voice_loudness(np.concatenate([300 * tone, 3000 * tone]).astype(np.int16))
    assert len(levels) == 24
    assert levels[20] - levels[4] == pytest.approx(20, abs=0.2)
    assert mouth_opening(clip_with_offset(0).mesh).shape == (FRAMES,)


def test_a_clip_is_shifted_only_when_asked_and_dropped_when_too_far_off_or_unsure():
    late = SyncOffset(4, 0.3)
    assert judge_offset(late, corrects=False, min_confidence=None) == 0
    assert judge_offset(late, corrects=True, min_confidence=0.3) == 4
    assert judge_offset(None, corrects=True, min_confidence=None) == 0
    with pytest.raises(Dropped, match="offset too large"):
        judge_offset(SyncOffset(-7, 0.9), corrects=True, min_confidence=None)
    for unsure in (late, None):
        with pytest.raises(Dropped, match="low sync confidence"):
            judge_offset(unsure, corrects=False, min_confidence=0.31)


class BrightnessOfFrames(nn.Module):
    def forward(self, frames):  # (B, 48, h, w)
        brightness = frames.mean(dim=(2, 3)).unflatten(1, (16, 3)).mean(dim=2)
        return brightness - brightness.mean(dim=1, keepdim=True)


class LoudnessOfMel(nn.Module):
    def forward(self, mel):  # (B, 1, 80, 52)
        loudness = nn.functional.interpolate(mel.mean(dim=2), 16, mode="linear", align_corners=False)[:, 0]
        return loudness - loudness.mean(dim=1, keepdim=True)


@pytest.mark.parametrize("offset", [-9, -2, 0, 5, 12])
def test_a_syncnet_tells_the_offset_that_its_embeddings_hold(offset):
    network = StableSyncNet(SyncNetConfig.from_dict(TINY))
    network.visual_encoder, network.audio_encoder = BrightnessOfFrames(), LoudnessOfMel()
    found = SyncNetOffset(network).measure_offset(clip_with_offset(offset))
    assert found is not None
    assert found.frames == pytest.approx(offset, abs=1)
    assert found.confidence > 0.1


def test_a_syncnet_is_read_from_a_folder_and_runs(tmp_path):
    network = StableSyncNet(SyncNetConfig.from_dict(TINY))
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"resolution": 16, **network.config.to_dict()}))
    meter = make_offset_meter(tmp_path)
    clip = clip_with_offset(0)
    found = meter.measure_offset(clip)
    assert found is not None
    assert -15 <= found.frames <= 15
    assert meter.measure_offset(AlignedClip(clip.crops[:15], clip.mesh[:15], clip.pcm[: 15 * 640])) is None


def test_a_bad_syncnet_is_refused_by_name(tmp_path):
    with pytest.raises(BadCheckpoint, match="no such weights file"):
        make_offset_meter(tmp_path / "missing.pt")
    torch.save({"state_dict": {"a": torch.zeros(1)}}, tmp_path / "stable_syncnet.pt")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(BadCheckpoint, match="no configuration of a StableSyncNet"):
        make_offset_meter(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(TINY))
    with pytest.raises(BadCheckpoint, match="does not fit StableSyncNet"):
        make_offset_meter(tmp_path)
    latent = {**TINY, "visual_encoder": {**TINY["visual_encoder"], "in_channels": 64}}
    with pytest.raises(BadCheckpoint, match="trained on pixels"):
        SyncNetOffset(StableSyncNet(SyncNetConfig.from_dict(latent)))
