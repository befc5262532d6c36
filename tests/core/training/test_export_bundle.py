"""From trained parts to a bundle that the pipeline loads."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from latentsync_core.audio.mel_audio_encoder import MelAudioEncoder
from latentsync_core.bundle import load_bundle
from latentsync_core.errors import BadCheckpoint
from latentsync_core.models.autoencoder import SpaceToDepthAutoencoder
from latentsync_core.models.unet import UNet3DConditionModel
from latentsync_core.models.unet_config import UNetConfig
from latentsync_core.training.export_bundle import BundleRecipe, export_bundle
from latentsync_core.training.recipe import build_config
from tests.core.training.small_unet import MODEL, SCHEDULER

FACTS = {
    "name": "test",
    "title": "Test",
    "description": "for a test",
    "license_note": "none",
    "resolution": 256,
    "reference": "anchor",
    "residual_reference": True,
    "audio_context_frames": 0,
}


@pytest.fixture
def recipe(tmp_path):
    from PIL import Image

    torch.manual_seed(0)
    SpaceToDepthAutoencoder(latent_channels=4, widths=(16, 16, 8), blocks=(1, 1, 1)).save_pretrained(tmp_path / "vae")
    MelAudioEncoder(channels=5, num_shape_components=3).save_pretrained(tmp_path / "audio")
    torch.save(UNet3DConditionModel(UNetConfig.from_dict(MODEL)).state_dict(), tmp_path / "unet.pt")
    mask = Image.new("L", (256, 256), 255)
    mask.paste(0, (60, 130, 200, 240))
    mask.save(tmp_path / "mask.png")
    values = {
        "out_dir": str(tmp_path / "bundle"),
        "vae_dir": str(tmp_path / "vae"),
        "audio_encoder_dir": str(tmp_path / "audio"),
        "unet_weights": str(tmp_path / "unet.pt"),
        "mask_path": str(tmp_path / "mask.png"),
        "bundle": FACTS,
        "model": MODEL,
        "scheduler": SCHEDULER,
    }
    return build_config(BundleRecipe, values, "test")


def test_an_exported_bundle_loads_with_the_weights_it_was_given(recipe):
    size = export_bundle(recipe)
    bundle = load_bundle(recipe.out_dir, device="cpu", dtype=torch.float32)
    assert size == sum(path.stat().st_size for path in recipe.out_dir.rglob("*") if path.is_file())
    assert bundle.config.reference == "anchor"
    assert bundle.scheduler.config.prediction_type == "sample"
    assert bundle.mask.shape == (1, 1, 256, 256)
    trained = torch.load(recipe.unet_weights, weights_only=True)["conv_in.weight"]
    assert torch.equal(bundle.unet.state_dict()["conv_in.weight"], trained.half().float())


def test_two_unets_are_averaged_and_only_temporal_layers_may_lack(recipe, tmp_path):
    temporal = {**MODEL, "use_motion_module": True, "motion_module_resolutions": [2]}
    with_time = UNet3DConditionModel(UNetConfig.from_dict(temporal)).state_dict()
    other = torch.load(recipe.unet_weights, weights_only=True)
    torch.save(with_time, tmp_path / "time.pt")
    both = replace(recipe, unet_weights=tmp_path / "time.pt", average_with=str(recipe.unet_weights), model=temporal)
    export_bundle(both)
    written = load_file(both.out_dir / "unet" / "model.safetensors")
    assert any("motion_modules" in name for name in written)
    for name, value in with_time.items():
        wanted = (value + other[name]) / 2 if name in other else value
        assert torch.equal(written[name], wanted.half()), name
    with pytest.raises(BadCheckpoint, match="not of the same network"):
        export_bundle(replace(recipe, average_with=str(tmp_path / "time.pt")))


def test_a_wrong_fact_is_refused_before_anything_is_written(recipe):
    with pytest.raises(BadCheckpoint, match="reference"):
        export_bundle(replace(recipe, bundle={**FACTS, "reference": "sideways"}))
    assert not recipe.out_dir.exists()
