"""Bundles load from folders and from the official files' layout, strictly."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file
from torch import nn

from latentsync_core.bundle import choose_device, load_bundle, official_scheduler
from latentsync_core.bundle_catalog import OFFICIAL_BUNDLES, VERIFIED_SUFFIX
from latentsync_core.errors import BadCheckpoint, BundleNotFound
from latentsync_core.models.unet import UNet3DConditionModel
from latentsync_core.models.unet_config import UNetConfig
from tests.tiny_bundle import RESOLUTION, write_tiny_bundle


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_tiny_bundle(tmp_path / "tiny", reference="anchor", cpu_dtype="bfloat16")


def test_a_folder_loads_ready_for_use(tiny: Path):
    bundle = load_bundle(tiny, "cpu", torch.float32)
    assert bundle.config.reference == "anchor"
    assert bundle.mask.shape == (1, 1, RESOLUTION, RESOLUTION)
    assert bundle.mask.min() == 0
    assert bundle.mask.max() == 1
    assert not bundle.unet.training
    assert not any(parameter.requires_grad for parameter in bundle.unet.parameters())
    assert bundle.audio_encoder.encode(torch.zeros(16000)).shape[:2] == (50, 1)
    expected = load_file(tiny / "unet" / "model.safetensors")
    assert all(torch.equal(value, expected[key]) for key, value in bundle.unet.state_dict().items())


def test_a_paste_mask_is_loaded_if_there_is_one(tiny: Path):
    assert load_bundle(tiny).paste_mask is None
    shutil.copy(tiny / "mask.png", tiny / "paste_mask.png")
    bundle = load_bundle(tiny)
    assert bundle.paste_mask is not None
    assert torch.equal(bundle.paste_mask, bundle.mask.cpu())


def test_the_bundle_chooses_its_dtype_on_a_cpu(tiny: Path):
    bundle = load_bundle(tiny, "cpu")
    assert bundle.dtype == bundle.unet.conv_in.weight.dtype == bundle.vae.dtype == torch.bfloat16
    assert next(bundle.audio_encoder.parameters()).dtype == torch.float32  # type: ignore[attr-defined]


def test_a_bundle_whose_unet_lacks_weights_is_refused(tiny: Path):
    path = tiny / "unet" / "model.safetensors"
    weights = load_file(path)
    del weights["conv_in.bias"]
    save_file(weights, path)
    with pytest.raises(BadCheckpoint, match=r"1 missing: conv_in\.bias"):
        load_bundle(tiny, "cpu")


@pytest.mark.parametrize("part", ["vae/config.json", "audio_encoder/config.json", "scheduler/scheduler_config.json"])
def test_an_unknown_class_is_refused(tiny: Path, part: str):
    config = json.loads((tiny / part).read_text())
    (tiny / part).write_text(json.dumps({**config, "_class_name": "os.system"}))
    with pytest.raises(BadCheckpoint, match="known are"):
        load_bundle(tiny, "cpu")


def test_a_missing_file_is_named(tiny: Path):
    (tiny / "mask.png").unlink()
    with pytest.raises(BadCheckpoint, match=r"mask\.png"):
        load_bundle(tiny, "cpu")


def test_a_wrong_unet_configuration_is_named(tiny: Path):
    (tiny / "unet" / "config.json").write_text('{"surplus": 1}')
    with pytest.raises(BadCheckpoint, match="surplus"):
        load_bundle(tiny, "cpu")


def test_an_official_bundle_that_is_not_here_says_how_to_get_it(tmp_path: Path):
    with pytest.raises(BundleNotFound, match=r"models download latentsync-1\.5"):
        load_bundle("latentsync-1.5", "cpu", cache_dir=tmp_path)


def test_a_gpu_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto").type == "cpu"
    with pytest.raises(BundleNotFound, match="No CUDA device"):
        choose_device("cuda")


def small_kl() -> AutoencoderKL:
    return AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, latent_channels=4)


def as_first_published(autoencoder: AutoencoderKL) -> dict[str, torch.Tensor]:
    """Name the attention's parts as Stable Diffusion's first files do."""
    names = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}
    weights = {}
    for key, value in autoencoder.state_dict().items():
        for new, old in names.items():
            key = key.replace(new, old)
        weights[key] = value
    return weights


def test_the_official_files_make_a_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The layout of the hub's files, with networks of a bearable size."""
    from latentsync_core.audio.whisper_encoder import WhisperAudioEncoder, WhisperEncoderConfig

    config = UNetConfig(block_out_channels=(32, 32, 32, 32), layers_per_block=1, cross_attention_dim=64)
    monkeypatch.setattr("latentsync_core.bundle.UNetConfig", lambda: config)
    official = OFFICIAL_BUNDLES["latentsync-1.6"]
    for file in official.files:
        file.local_path(tmp_path).parent.mkdir(parents=True, exist_ok=True)
    unet, autoencoder = UNet3DConditionModel(config), small_kl()
    whisper = WhisperAudioEncoder(WhisperEncoderConfig(n_audio_ctx=50, n_audio_state=64, n_audio_head=1))
    torch.save({"state_dict": unet.state_dict(), "global_step": 1}, official.unet.local_path(tmp_path))
    states = {f"encoder.{key}": value for key, value in whisper.encoder.state_dict().items()}
    torch.save({"dims": {}, "model_state_dict": states}, official.whisper.local_path(tmp_path))
    official.vae_config.local_path(tmp_path).write_text(
        json.dumps({"_class_name": "AutoencoderKL", "block_out_channels": [8], "norm_num_groups": 4})
    )
    save_file(as_first_published(autoencoder), official.vae.local_path(tmp_path))
    for file in official.files:
        path = file.local_path(tmp_path)
        path.with_name(path.name + VERIFIED_SUFFIX).write_text(json.dumps({"size": path.stat().st_size}))

    bundle = load_bundle("latentsync-1.6", "cpu", cache_dir=tmp_path)
    assert bundle.name == "latentsync-1.6"
    assert bundle.mask.shape == (1, 1, 512, 512)
    assert bundle.vae.config.scaling_factor == 0.18215
    assert bundle.scheduler.config == official_scheduler().config
    assert isinstance(bundle.vae, nn.Module)
    for key, value in autoencoder.state_dict().items():
        assert torch.equal(bundle.vae.state_dict()[key], value), key
