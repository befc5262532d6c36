"""Which SyncNet a recipe asks for: fitted strides, refusals, and the way to disk and back."""

import pytest
import torch

from latentsync_core.audio.mel import mel_window_length
from latentsync_core.errors import BadCheckpoint, BadOption
from latentsync_core.models.syncnet import StableSyncNet
from latentsync_core.models.wav2lip_syncnet import Wav2LipSyncNet
from latentsync_core.training.recipe import read_recipe
from latentsync_core.training.syncnet_model import fit_strides, load_syncnet, save_syncnet, stable_syncnet_config
from latentsync_core.training.syncnet_recipe import SyncNetRecipe, build_syncnet
from tests.conftest import REPOSITORY
from tests.parity.golden import facts, shapes_of

SMALL = {
    "visual_encoder": {"block_out_channels": [8, 8, 8, 16, 16, 16, 16], "norm_num_groups": 4},
    "audio_encoder": {"block_out_channels": [8, 8, 8, 8, 16, 16, 16], "norm_num_groups": 4},
}


def recipe(tmp_path, **changes) -> SyncNetRecipe:
    return SyncNetRecipe(tmp_path, tmp_path, tmp_path, **{"model": SMALL, "num_frames": 5, **changes})


def test_the_published_strides_come_out_where_they_are_fitted():
    visual = fit_strides(128, 256, 8)
    assert visual == [(1, 2), *[(2, 2)] * 7]
    assert fit_strides(80, 52, 7)[:6] == [(2, 1), (2, 2), (2, 2), (1, 1), (2, 2), (2, 2)]
    assert fit_strides(80, 80, 6) == [(2, 2)] * 6  # of 25 frames


def test_too_few_blocks_are_refused_with_the_number_wanted():
    with pytest.raises(BadOption, match="takes 7 blocks"):
        fit_strides(128, 64, 6)


@pytest.mark.parametrize("num_frames", [5, 16, 25])
@pytest.mark.parametrize("picture", [(3, 64, 128), (3, 48, 96), (16, 8, 16)])
def test_any_number_of_frames_and_any_picture_ends_in_one_vector(num_frames, picture, tmp_path):
    network = build_syncnet(recipe(tmp_path, num_frames=num_frames, embedding_dim=32), picture)
    frames = torch.randn(2, num_frames * picture[0], *picture[1:])
    vision, audio = network(frames, torch.randn(2, 1, 80, mel_window_length(num_frames)))
    assert vision.shape == audio.shape == (2, 32)


def test_the_recipe_of_the_published_network_builds_it():
    path = REPOSITORY / "latentsync_core" / "training" / "recipes" / "stable_syncnet.yaml"
    with torch.device("meta"):
        network = build_syncnet(read_recipe(path, SyncNetRecipe), (3, 128, 256))
    assert shapes_of(network) == facts("syncnet/syncnet_16_pixel_attn_manifest")


def test_what_contradicts_itself_is_refused_by_name(tmp_path):
    visual = SMALL["visual_encoder"]
    with_other_frames = {**SMALL, "visual_encoder": {**visual, "in_channels": 48}}
    with pytest.raises(BadOption, match="in_channels 48, its input has 15"):
        stable_syncnet_config(with_other_frames, 5, (3, 64, 128))
    with pytest.raises(BadOption, match="needs block_out_channels"):
        stable_syncnet_config({}, 5, (3, 64, 128))
    narrow = {**SMALL, "audio_encoder": {"block_out_channels": [8] * 7}}
    with pytest.raises(BadOption, match="same width"):
        stable_syncnet_config(narrow, 5, (3, 64, 128))
    left_too_tall = {**SMALL, "visual_encoder": {**visual, "downsample_factors": [2] * 6 + [1]}}
    with pytest.raises(BadOption, match="embeddings of"):
        build_syncnet(recipe(tmp_path, model=left_too_tall), (3, 64, 128))
    with pytest.raises(BadOption, match="vae_dir"):
        recipe(tmp_path, space="latent")
    with pytest.raises(BadOption, match="augment"):
        recipe(tmp_path, space="latent", vae_dir="somewhere", augment=True)
    with pytest.raises(BadOption, match="precision must be one of"):
        recipe(tmp_path, precision="fp8")


def test_wav2lips_network_takes_its_five_frames_of_256_px_and_no_others(tmp_path):
    assert isinstance(build_syncnet(recipe(tmp_path, architecture="wav2lip", model={}), (3, 128, 256)), Wav2LipSyncNet)
    with pytest.raises(BadOption, match="16 frames"):
        build_syncnet(recipe(tmp_path, architecture="wav2lip", model={}, num_frames=16), (3, 128, 256))
    with pytest.raises(BadOption, match="wav2lip is fixed"):
        recipe(tmp_path, architecture="wav2lip")


def test_a_saved_network_comes_back_as_it_was(tmp_path):
    network = StableSyncNet(stable_syncnet_config(SMALL, 5, (3, 64, 128)))
    save_syncnet(network, tmp_path / "syncnet", {"num_frames": 5, "resolution": 128})
    loaded, config = load_syncnet(tmp_path / "syncnet")
    frames, mel = torch.randn(2, 15, 64, 128), torch.randn(2, 1, 80, 16)
    assert all(torch.equal(*pair) for pair in zip(network(frames, mel), loaded(frames, mel), strict=True))
    assert (config["num_frames"], config["resolution"]) == (5, 128)
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    with pytest.raises(BadCheckpoint, match=r"config\.json"):
        load_syncnet(tmp_path)


@pytest.mark.parametrize(
    "text", ["no JSON", "{}", '{"_class_name": "UNet"}', '{"_class_name": "StableSyncNet"}', "[1]"]
)
def test_a_folder_that_is_no_syncnet_is_refused(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(BadCheckpoint, match="not the configuration of a SyncNet"):
        load_syncnet(tmp_path)


def test_wav2lips_network_comes_back_too(tmp_path):
    network = Wav2LipSyncNet().eval()
    save_syncnet(network, tmp_path, {"num_frames": 5})
    loaded, _ = load_syncnet(tmp_path)
    assert all(torch.equal(network.state_dict()[key], value) for key, value in loaded.state_dict().items())
