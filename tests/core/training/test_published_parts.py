"""The kinds of network that the published models are made of train as the small ones do."""

import json

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file
from transformers import WhisperConfig, WhisperModel

from latentsync_core.audio.whisper_encoder import WhisperAudioEncoder, WhisperEncoderConfig
from latentsync_core.bundle import load_bundle
from latentsync_core.bundle_parts import load_audio_encoder
from latentsync_core.errors import BadCheckpoint, BadOption
from latentsync_core.training.export_bundle import BundleRecipe, export_bundle
from latentsync_core.training.recipe import read_recipe
from latentsync_core.training.runs import read_curve
from latentsync_core.training.train_unet import build_unet, train_unet
from latentsync_core.training.unet_recipe import UNetRecipe
from tests.conftest import REPOSITORY
from tests.core.training.small_unet import MODEL
from tests.core.training.small_unet_run import write_recipe

RECIPES = REPOSITORY / "latentsync_core" / "training" / "recipes"

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture
def parts(tmp_path):
    """The folder of an AutoencoderKL of factor 8 and of a Whisper of two layers."""
    torch.manual_seed(0)
    levels = 4
    AutoencoderKL(
        block_out_channels=(4,) * levels,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        layers_per_block=1,
        norm_num_groups=2,
        latent_channels=4,
    ).save_pretrained(tmp_path / "kl")
    config = WhisperEncoderConfig(n_audio_ctx=50, n_audio_state=8, n_audio_head=2, n_audio_layer=1)
    (tmp_path / "whisper").mkdir()
    save_file(WhisperAudioEncoder(config).state_dict(), tmp_path / "whisper" / "model.safetensors")
    said = {"_class_name": "WhisperAudioEncoder", **vars(config)}
    (tmp_path / "whisper" / "config.json").write_text(json.dumps(said))
    return tmp_path


def test_a_stage_trains_validates_and_becomes_a_bundle(parts):
    model = {**MODEL, "cross_attention_dim": 8}
    published = {"residual_reference": False, "timestep_power": 1, "hole_weight": 0, "outside_weight": 1}
    path = write_recipe(
        parts,
        ("cyd",),
        frames=4,
        steps=2,
        vae_dir=str(parts / "kl"),
        audio_encoder_dir=str(parts / "whisper"),
        mask_path="official",
        model=model,
        scheduler={"prediction_type": "epsilon", "clip_sample": False},
        validation={"steps": 2, "windows": 2, "sample_clips": 1, "sample_seconds": 0.2, "denoising_steps": 1},
        **published,
    )
    train_unet(read_recipe(path, UNetRecipe))
    assert read_curve(parts / "run" / "validation.csv")[0]["hole_error"] > 0
    assert list((parts / "run" / "samples").glob("*.mp4"))
    facts = {"name": "a", "title": "A", "description": "", "license_note": "", "resolution": 256}
    mask = REPOSITORY / "models" / "mini" / "mask.png"
    weights = parts / "run" / "unet.pt"
    export_bundle(BundleRecipe(parts / "bundle", parts / "kl", parts / "whisper", weights, mask, facts, model, {}))
    bundle = load_bundle(parts / "bundle", "cpu", torch.float32)
    assert isinstance(bundle.vae, AutoencoderKL)
    assert bundle.audio_encoder.encode(torch.zeros(16000)).shape == (50, 2, 8)


def test_what_does_not_fit_is_refused_by_key(parts):
    changes = {"audio_encoder_dir": str(parts / "whisper"), "vae_dir": str(parts / "kl")}
    path = write_recipe(parts, frames=4, steps=1, **changes, model={**MODEL, "cross_attention_dim": 12})
    with pytest.raises(BadOption, match=r"model\.cross_attention_dim is 12, but it takes 8"):
        train_unet(read_recipe(path, UNetRecipe))
    with pytest.raises(BadOption, match=r"model\.in_channels is 9, but it takes 13"):
        train_unet(read_recipe(path, UNetRecipe, ["model.in_channels=9"]))
    with pytest.raises(BadOption, match="true_shape_share is for a MelAudioEncoder"):
        train_unet(read_recipe(path, UNetRecipe, ["true_shape_share=0.5", "model.cross_attention_dim=8"]))
    (parts / "whisper" / "model.safetensors").unlink()
    with pytest.raises(BadCheckpoint, match="holds no weights"):
        load_audio_encoder(parts / "whisper")


def test_a_whisper_folder_of_hugging_face_is_heard(tmp_path):
    sizes = {"encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 1, "decoder_attention_heads": 1}
    small = {"encoder_ffn_dim": 256, "decoder_ffn_dim": 8, "vocab_size": 60, "pad_token_id": 0, "bos_token_id": 1}
    tokens = {"eos_token_id": 2, "decoder_start_token_id": 1, "max_target_positions": 4}
    torch.manual_seed(0)
    network = WhisperModel(WhisperConfig(d_model=64, **sizes, **small, **tokens)).eval()
    network.save_pretrained(tmp_path)
    encoder = load_audio_encoder(tmp_path)
    log_mel = torch.randn(1, 80, 3000)
    with torch.no_grad():
        states = network.encoder(log_mel, output_hidden_states=True).hidden_states
        assert torch.allclose(encoder(log_mel)[:, :, 0], states[0], atol=1e-5)


@pytest.mark.parametrize("stage", [1, 2])
def test_the_recipes_are_of_the_published_network(stage):
    recipe = read_recipe(RECIPES / f"latentsync_unet_stage{stage}.yaml", UNetRecipe, ["init_from=''"])
    with torch.device("meta"):
        unet = build_unet(recipe)
    names = {name.partition(".")[0] for name, parameter in unet.named_parameters() if parameter.requires_grad}
    assert ("conv_in" in names) == (stage == 1)
    assert any("motion_modules" in name for name in unet.state_dict()) == (stage == 2)
    assert unet.config.block_out_channels == (320, 640, 1280, 1280)
    weights = recipe.losses
    assert (weights.simple, weights.sync, weights.lpips, weights.trepa) == ((1, 0, 0, 0), (1, 0.05, 0.1, 10))[stage - 1]
