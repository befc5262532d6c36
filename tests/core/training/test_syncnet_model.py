"""Which SyncNet a recipe asks for: fitted strides, refusals, and the way to disk and back."""

import pytest
import torch

from latentsync_core.audio.mel import mel_window_length
from latentsync_core.errors import BadCheckpoint, BadOption
from latentsync_core.models.syncnet import ResnetBlock2D, StableSyncNet
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
    with pytest.raises(BadOption, match="multiple of windows_per_clip 3"):
        recipe(tmp_path, batch_size=64, windows_per_clip=3)
    with pytest.raises(BadOption, match="contrast_weight needs windows_per_clip"):
        recipe(tmp_path, contrast_weight=1.0)
    with pytest.raises(BadOption, match="kernel_sizes, each 1 or 3"):
        stable_syncnet_config({**SMALL, "visual_encoder": {**visual, "kernel_sizes": [3, 2]}}, 5, (3, 64, 128))
    hearing = {**SMALL, "audio_encoder": {**SMALL["audio_encoder"], "speech_embedding": True}}
    with pytest.raises(BadOption, match="speech_embedding stands beside model"):
        recipe(tmp_path, model=hearing)
    with pytest.raises(BadOption, match="precision must be one of"):
        recipe(tmp_path, precision="fp8")


def test_wav2lips_networks_take_their_five_frames_of_256_or_96_px_and_no_others(tmp_path):
    assert isinstance(build_syncnet(recipe(tmp_path, architecture="wav2lip", model={}), (3, 128, 256)), Wav2LipSyncNet)
    with pytest.raises(BadOption, match="16 frames"):
        build_syncnet(recipe(tmp_path, architecture="wav2lip", model={}, num_frames=16), (3, 128, 256))
    small = recipe(tmp_path, architecture="wav2lip", model={}, resolution=96)
    vision, audio = build_syncnet(small, (3, 48, 96)).eval()(torch.zeros(2, 15, 48, 96), torch.zeros(2, 1, 80, 16))
    assert vision.shape == audio.shape == (2, 512)
    with pytest.raises(BadOption, match="256 or 96 px, not of 128"):
        recipe(tmp_path, architecture="wav2lip", model={}, resolution=128)
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


PATCHY = {
    "visual_encoder": {
        "block_out_channels": [8, 8, 16],
        "patch_size": 4,
        "downsample_factors": [[4, 4], [3, 6], 1],
        "kernel_sizes": [3, 3, 1],
        "motion_only": True,
        "norm_num_groups": 4,
    },
    "audio_encoder": {
        "block_out_channels": [8, 8, 8, 8, 16],
        "patch_size": [4, 4],
        "kernel_sizes": [3, 3, 3, 3, 1],
        "norm_num_groups": 4,
    },
}


@pytest.mark.parametrize("num_frames", [5, 16, 25])
def test_patches_and_small_kernels_fit_any_number_of_frames(num_frames, tmp_path):
    network = build_syncnet(recipe(tmp_path, model=PATCHY, num_frames=num_frames), (3, 48, 96))
    sound = torch.randn(2, 1, 80, mel_window_length(num_frames))
    vision, audio = network(torch.randn(2, num_frames * 3, 48, 96), sound)
    assert vision.shape == audio.shape == (2, 16)
    assert network.audio_encoder.conv_in.stride == (4, 4)
    save_syncnet(network.eval(), tmp_path, {})
    again, _ = load_syncnet(tmp_path)
    frames = torch.rand(1, num_frames * 3, 48, 96)
    assert all(torch.equal(*pair) for pair in zip(again(frames, sound[:1]), network(frames, sound[:1]), strict=True))


def test_a_patch_is_seen_by_one_position_only(tmp_path):
    encoder = build_syncnet(recipe(tmp_path, model=PATCHY), (3, 48, 96)).visual_encoder
    frames = torch.zeros(1, 15, 48, 96, requires_grad=True)
    encoder.conv_in(frames)[0, :, 2, 5].sum().backward()
    assert frames.grad[0, 0].nonzero().min(0).values.tolist() == [8, 20]
    assert frames.grad[0, 0].nonzero().max(0).values.tolist() == [11, 23]


def test_a_still_picture_is_not_seen_where_motion_alone_counts(tmp_path):
    network = build_syncnet(recipe(tmp_path, model=PATCHY), (3, 48, 96)).eval()
    person = torch.rand(1, 1, 3, 48, 96)
    movement = torch.randn(1, 5, 3, 48, 96) * 0.1
    seen = [network.visual_encoder((movement + still).flatten(1, 2)) for still in (person, 1 - person)]
    assert torch.allclose(*seen, atol=1e-4)
    assert not torch.allclose(seen[0], network.visual_encoder((2 * movement.flip(1)).flatten(1, 2)), atol=1e-3)


def test_where_a_block_sees_one_position_a_kernel_of_one_says_what_a_kernel_of_three_does():
    small, large = ResnetBlock2D(8, 16, 4, (1, 1), kernel=1), ResnetBlock2D(8, 16, 4, (1, 1))
    weights = large.state_dict()
    small.load_state_dict(
        {name: value[:, :, 1:2, 1:2] if value.shape[-2:] == (3, 3) else value for name, value in weights.items()}
    )
    hidden = torch.randn(3, 8, 1, 1)
    assert torch.allclose(small(hidden), large(hidden), atol=1e-6)
