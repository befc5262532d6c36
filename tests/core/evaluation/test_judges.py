"""The judges' networks and what they are fed: official parameter names, MFCC, crops."""

import cmath
import math
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from latentsync_core.audio.mfcc import speech_mfcc
from latentsync_core.errors import BadCheckpoint
from latentsync_core.evaluation.judges import StableSyncNetJudge, SyncNetV2Judge, smooth_boxes, syncnet_crop
from latentsync_core.evaluation.metrics.identity import TEMPLATE, arcface_crop, identity_similarity
from latentsync_core.evaluation.seen_clip import SeenClip
from latentsync_core.evaluation.weights import SHIPPED_SYNCNET
from latentsync_core.models.arcface import IResNet, load_arcface
from latentsync_core.models.syncnet_v2 import SyncNetV2, load_syncnet_v2


def test_mfcc_agrees_with_a_slow_version_of_its_definition():
    pcm = (np.random.default_rng(0).normal(size=1000) * 3000).astype(np.int16)
    fast = speech_mfcc(pcm)
    assert fast.shape == (5, 13)  # 1 + ceil((1000 - 400) / 160)
    for row in (0, 2, 4):
        assert fast[row] == pytest.approx(slow_mfcc(pcm, row), rel=1e-6, abs=1e-6)


def slow_mfcc(pcm, row):
    """One window, sums written out."""
    samples = [float(s) for s in pcm] + [0.0] * 400
    emphasised = [samples[0]] + [samples[i] - 0.97 * samples[i - 1] for i in range(1, len(pcm))] + [0.0] * 400
    window = emphasised[row * 160 : row * 160 + 400]
    power = []
    for k in range(257):
        turned = sum(x * cmath.exp(-2j * math.pi * k * i / 512) for i, x in enumerate(window))
        power.append(abs(turned) ** 2 / 512)
    mels = [i * 2595 * math.log10(1 + 8000 / 700) / 27 for i in range(28)]
    edges = [math.floor(513 * 700 * (10 ** (mel / 2595) - 1) / 16000) for mel in mels]
    logs = []
    for left, middle, right in zip(edges, edges[1:], edges[2:], strict=False):
        rising = sum(power[i] * (i - left) / (middle - left) for i in range(left, middle))
        logs.append(math.log(rising + sum(power[i] * (right - i) / (right - middle) for i in range(middle, right))))
    found = []
    for n in range(13):
        scale = math.sqrt((1 if n == 0 else 2) / 26)
        total = scale * sum(x * math.cos(math.pi * n * (2 * i + 1) / 52) for i, x in enumerate(logs))
        found.append(total * (1 + 11 * math.sin(math.pi * n / 22)))
    return [math.log(sum(power)), *found[1:]]


def test_syncnet_v2_has_the_official_names_and_loads_a_file_without_counters(tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = SyncNetV2()
    state = network.state_dict()
    shapes = {
        "netcnnaud.0.weight": (64, 1, 3, 3),
        "netcnnaud.18.weight": (512, 256, 5, 4),
        "netcnnaud.19.running_mean": (512,),
        "netcnnlip.0.weight": (96, 3, 5, 7, 7),
        "netcnnlip.19.weight": (512,),
        "netfcaud.3.weight": (1024, 512),
        "netfclip.1.running_var": (512,),
    }
    assert {name: tuple(state[name].shape) for name in shapes} == shapes
    path = tmp_path / "syncnet_v2.model"
    torch.save({key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}, path)
    loaded = load_syncnet_v2(path)
    assert all(torch.equal(loaded.state_dict()[key], state[key]) for key in state)
    assert loaded.embed_sound(torch.zeros(2, 1, 13, 20)).shape == (2, 1024)
    assert loaded.embed_lips(torch.zeros(1, 3, 5, 224, 224)).shape == (1, 1024)
    torch.save({"netcnnaud.0.weight": torch.zeros(1)}, path)
    with pytest.raises(BadCheckpoint, match="does not fit SyncNetV2"):
        load_syncnet_v2(path)


def test_boxes_are_smoothed_and_gaps_filled():
    meshes = np.full((20, 468, 2), np.nan, np.float32)
    meshes[:] = np.linspace([40, 60], [140, 180], 468)
    meshes[7] += 500  # a glance at something else
    meshes[12:15] = np.nan
    assert smooth_boxes(meshes) == pytest.approx(np.tile([60, 90, 120], (20, 1)))


def test_the_syncnet_crop_has_the_face_in_its_upper_middle_and_grey_outside():
    frame = np.zeros((200, 200, 3), np.uint8)
    frame[95:105, 95:105] = 255  # the middle of the box
    crop = syncnet_crop(frame, 50, 100, 100)  # rows 50..190, columns 30..170
    rows, columns = np.nonzero(crop[..., 0] > 128)
    assert rows.mean() == pytest.approx(50 / 140 * 224, abs=1.5)
    assert columns.mean() == pytest.approx(112, abs=1.5)
    outside = syncnet_crop(frame, 50, 10, 100)
    assert (outside[:, 0] == 110).all()


def test_syncnet_v2_embeds_every_frame_but_the_last_five(monkeypatch):
    class Positions(SyncNetV2):
        """Says which frame and which MFCC column a stretch begins with."""

        def embed_lips(self, frames):
            return frames[:, :1, 0, 0, 0]

        def embed_sound(self, mfcc):
            return mfcc[:, 0, :1, 0]

    judge = SyncNetV2Judge(Positions())
    crops = np.arange(20, dtype=np.uint8)[:, None, None, None] * np.ones((1, 3, 224, 224), np.uint8)
    monkeypatch.setattr(SyncNetV2Judge, "_cut_crops", staticmethod(lambda clip, count: crops[:count]))
    pcm = (np.random.default_rng(0).normal(size=640 * 18) * 1000).astype(np.int16)
    found = judge.embed(SimpleNamespace(meshes=np.zeros((20, 468, 2))), pcm)
    assert found is not None
    pictures, sounds = found
    assert pictures[:, 0].tolist() == list(range(13))  # 18 frames have sound
    assert sounds[:, 0] == pytest.approx(speech_mfcc(pcm)[:52:4, 0], rel=1e-5)


def test_arcface_finds_its_depth_in_the_file_and_knows_a_face_again(tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = IResNet((1, 2, 1, 1)).eval()
    path = tmp_path / "backbone.pth"
    torch.save(network.state_dict(), path)
    assert {"layer2.1.conv2.weight", "layer1.0.downsample.0.weight", "features.weight"} <= network.state_dict().keys()
    loaded = load_arcface(path)
    faces = np.random.default_rng(0).integers(0, 256, (1, 112, 112, 3), np.uint8)
    assert identity_similarity(loaded, faces, faces) == pytest.approx(1)
    assert identity_similarity(loaded, faces, 255 - faces) < 1
    torch.save({"conv1.weight": torch.zeros(1)}, path)
    with pytest.raises(BadCheckpoint, match="no IResNet"):
        load_arcface(path)


def test_the_identity_crop_brings_eyes_nose_and_mouth_to_their_places():
    mesh = np.zeros((468, 2), np.float32)
    for place, points in zip(TEMPLATE, ((33, 133), (362, 263), (1,), (61,), (291,)), strict=True):
        mesh[list(points)] = 2 * place + 40  # twice as large, moved
    frame = np.zeros((320, 320, 3), np.uint8)
    x, y = np.rint(2 * TEMPLATE[2] + 40).astype(int)
    frame[y - 3 : y + 4, x - 3 : x + 4] = 255
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        crop = arcface_crop(frame, mesh)
    rows, columns = np.nonzero(crop[..., 0] > 128)
    assert (columns.mean(), rows.mean()) == pytest.approx(tuple(TEMPLATE[2]), abs=0.6)


def seen(crops: np.ndarray) -> SeenClip:
    count = len(crops)
    return SeenClip(Path("clip.mp4"), np.zeros((count, 468, 2), np.float32), np.zeros((count, 2, 3)), crops)


def test_the_syncnet_that_ships_hears_nothing_but_the_sound_and_sees_nothing_but_the_lips():
    judge = StableSyncNetJudge.from_folder(SHIPPED_SYNCNET)
    generator = np.random.default_rng(0)
    crops = generator.integers(0, 256, (60, 256, 256, 3), dtype=np.uint8)
    pcm = generator.integers(-8000, 8000, 60 * 640).astype(np.int16)
    lips, sound = judge.embed(seen(crops), pcm)
    assert lips.shape == sound.shape
    assert lips.shape[0] > 30
    np.testing.assert_allclose(np.linalg.norm(lips, axis=1), 1, rtol=1e-4)
    other_head = crops.copy()
    other_head[:, :128] = 0
    other_pcm = pcm[::-1].copy()
    lips_again, other_sound = judge.embed(seen(other_head), other_pcm)
    np.testing.assert_allclose(lips_again, lips, atol=1e-5)
    assert np.abs(other_sound - sound).max() > 1e-3
