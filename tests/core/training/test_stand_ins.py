"""Home-trained stand-ins for LPIPS's and TREPA's networks: they resume exactly, load, and never bear the real name."""

import cv2
import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import VideoMAEConfig, VideoMAEModel

from latentsync_core.errors import BadCheckpoint, BadOption
from latentsync_core.training.decoded_losses import LossRecipe, load_decoded_losses, weight_of
from latentsync_core.training.face_clips import read_face_clips
from latentsync_core.training.losses.face_features import (
    FaceFeatureDistance,
    FaceFeatures,
    load_face_feature_distance,
    save_face_features,
)
from latentsync_core.training.losses.trepa_loss import load_video_features, trepa_loss
from latentsync_core.training.train_videomae import FaceWindows, VideoMaeRecipe
from tests.core.training.killed_run import run_unbroken_and_killed
from tests.core.training.small_clips import save_small_clips

pytestmark = pytest.mark.usefixtures("one_torch_thread")

VIDEOMAE = {
    "num_frames": 4,
    "resolution": 16,
    "patch_size": 4,
    "hidden_size": 32,
    "num_layers": 1,
    "decoder_size": 32,
    "decoder_layers": 1,
}
FACE_FEATURES = {"widths": [8, 8], "frame_stride": 2}


@pytest.mark.timeout(200)
@pytest.mark.parametrize(
    ("command", "weights", "more"),
    [
        ("train-videomae", "videomae/model.safetensors", VIDEOMAE),
        ("train-face-features", "face_features/model.safetensors", FACE_FEATURES),
    ],
)
def test_a_killed_run_ends_bit_for_bit_where_an_unbroken_one_does(tmp_path, command, weights, more):
    save_small_clips(tmp_path / "faces", {"ann": 1, "ben": 2}, side=32)
    values = {
        "data_dir": str(tmp_path / "faces"),
        "run_dir": "set by the test",
        "steps": 7,
        "max_minutes": float("inf"),
        "batch_size": 2,
        "warmup_steps": 3,
        "checkpoint_minutes": 1e9,
        **more,
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(values))
    runs = run_unbroken_and_killed(command, path, steps=7, checkpoint_steps=3, killed_in_step=4)
    states = [load_file(run / weights) for run in runs]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_a_videomae_of_home_is_read_as_trepas_network_and_its_distance_says_stand_in(tmp_path):
    recipe = VideoMaeRecipe(tmp_path, tmp_path, **VIDEOMAE)
    torch.manual_seed(0)
    VideoMAEModel(recipe.model()).save_pretrained(tmp_path / "home")
    VideoMAEModel(VideoMAEConfig(**{**recipe.model().to_dict(), "home_trained": False})).save_pretrained(
        tmp_path / "others"
    )
    for folder, name in (("home", "trepa_stand_in"), ("others", "trepa")):
        settings = LossRecipe(sync=0, lpips=0, videomae_dir=str(tmp_path / folder))
        assert list(load_decoded_losses(settings, 4, torch.device("cpu"))) == [name]
        assert weight_of(settings, name) == 10
    features = load_video_features(tmp_path / "home")
    video = torch.rand(1, 3, 4, 16, 16) * 2 - 1
    assert float(trepa_loss(features, video, video)) == 0 < float(trepa_loss(features, video, video.flip(2)))


def test_hidden_places_are_the_same_in_all_frames_and_a_batch_depends_on_its_step_alone(tmp_path):
    save_small_clips(tmp_path, {"ann": 2}, side=32)
    recipe = VideoMaeRecipe(tmp_path, tmp_path, batch_size=3, **VIDEOMAE)
    clips = read_face_clips(tmp_path, "train")
    videos, hidden = FaceWindows(clips, recipe).batch(5)
    assert videos.shape == (3, 4, 3, 16, 16)
    by_time = hidden.view(3, 2, 16)
    assert torch.equal(by_time[:, 0], by_time[:, 1])
    assert by_time.sum(-1).unique().tolist() == [14]  # nine tenths of 16
    again = FaceWindows(clips, recipe).batch(5)
    assert torch.equal(again[0], videos)
    assert torch.equal(again[1], hidden)
    assert not torch.equal(FaceWindows(clips, recipe).batch(6)[1], hidden)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resolution": 18}, "resolution 18 must be a multiple of patch_size 4"),
        ({"num_frames": 5}, "num_frames 5 must be a multiple of tubelet_size 2"),
        ({"mask_share": 0.99}, "mask_share 0.99 hides 16 of 16 places"),
    ],
)
def test_a_videomae_that_cannot_be_is_refused(tmp_path, change, message):
    with pytest.raises(BadOption, match=message):
        VideoMaeRecipe(tmp_path, tmp_path, **{**VIDEOMAE, **change})


def test_the_distance_of_face_features_is_lpips_arithmetic_over_their_stages(tmp_path):
    torch.manual_seed(0)
    features = FaceFeatures((8, 12))
    save_face_features(features, tmp_path)
    distance = load_face_feature_distance(tmp_path)
    first, second = torch.rand(2, 2, 3, 16, 32) * 2 - 1
    slow = np.zeros(2)
    for of_first, of_second in zip(features(first), features(second), strict=True):
        for number in range(2):
            a, b = (maps[number].detach().double().numpy() for maps in (of_first, of_second))
            a, b = (each / np.maximum(np.sqrt((each**2).sum(0)), 1e-12) for each in (a, b))
            slow[number] += ((a - b) ** 2).sum(0).mean()
    assert distance(first, second).tolist() == pytest.approx(slow.tolist(), rel=1e-4)
    assert distance(first, first).tolist() == [0, 0]
    assert not any(parameter.requires_grad for parameter in distance.parameters())


def test_a_stronger_blur_is_further_away():
    torch.manual_seed(0)
    distance = FaceFeatureDistance(FaceFeatures())
    sharp = np.random.default_rng(0).uniform(-1, 1, (64, 128, 3)).astype(np.float32)

    def picture(sigma: float) -> torch.Tensor:
        return torch.from_numpy(cv2.GaussianBlur(sharp, (0, 0), sigma)).permute(2, 0, 1)[None]

    with torch.no_grad():
        distances = [float(distance(torch.from_numpy(sharp).permute(2, 0, 1)[None], picture(s))) for s in (0.4, 0.8, 2)]
    assert distances == sorted(distances)


def test_lpips_over_a_folder_of_face_features_says_stand_in_and_a_broken_folder_is_named(tmp_path):
    save_face_features(FaceFeatures((8,)), tmp_path / "good")
    settings = LossRecipe(sync=0, trepa=0, vgg_path=str(tmp_path / "good"))
    assert list(load_decoded_losses(settings, 4, torch.device("cpu"))) == ["lpips_stand_in"]
    (tmp_path / "bad").mkdir()
    with pytest.raises(BadCheckpoint, match=r"bad: not a folder that train-face-features left"):
        load_face_feature_distance(tmp_path / "bad")
