"""The SyncNets against the recording of the reference, in float32 and in float64."""

from typing import Any

import pytest
import torch
from torch import nn

from latentsync_core.models.syncnet import StableSyncNet
from latentsync_core.models.syncnet_config import SyncNetConfig
from latentsync_core.models.wav2lip_syncnet import Wav2LipSyncNet
from tests.parity.golden import arrays, facts, fill_with_seeded_weights, largest_error, seeded, shapes_of

RECORDED = facts("syncnet/syncnet")
ALLOWED = {torch.float32: 2e-6, torch.float64: 1e-9}

_SOUND_52: dict[str, Any] = {
    "in_channels": 1,
    "block_out_channels": [32, 64, 128, 256, 512, 1024, 2048],
    "downsample_factors": [[2, 1], 2, 2, 1, 2, 2, [2, 3]],
}
_PIXELS_16: dict[str, Any] = {
    "in_channels": 48,
    "block_out_channels": [64, 128, 256, 256, 512, 1024, 2048, 2048],
    "downsample_factors": [[1, 2], 2, 2, 2, 2, 2, 2, 2],
}
CONFIGS: dict[str, dict[str, dict[str, Any]]] = {
    "syncnet_16_pixel_attn": {
        "audio_encoder": {**_SOUND_52, "attn_blocks": [0, 0, 0, 1, 1, 0, 0]},
        "visual_encoder": {**_PIXELS_16, "attn_blocks": [0, 0, 0, 0, 1, 1, 0, 0]},
    },
    "syncnet_16_pixel": {"audio_encoder": _SOUND_52, "visual_encoder": _PIXELS_16},
    "syncnet_16_latent": {
        "audio_encoder": {
            "in_channels": 1,
            "block_out_channels": [32, 64, 128, 256, 512, 1024],
            "downsample_factors": [[2, 1], 2, 2, 2, 2, [2, 3]],
        },
        "visual_encoder": {
            "in_channels": 64,
            "block_out_channels": [64, 128, 256, 256, 512, 1024],
            "downsample_factors": [2, 2, 2, 1, 2, 2],
        },
    },
    "syncnet_25_pixel": {
        "audio_encoder": {
            "in_channels": 1,
            "block_out_channels": [64, 128, 256, 256, 512, 1024],
            "downsample_factors": [2, 2, 2, 2, 2, 2],
        },
        "visual_encoder": {
            "in_channels": 75,
            "block_out_channels": [128, 128, 256, 256, 512, 512, 1024, 1024],
            "downsample_factors": [[1, 2], 2, 2, 2, 2, 2, 2, 2],
        },
    },
}
BIG = ("syncnet_16_pixel_attn", "syncnet_16_pixel")  # 400 M parameters
NAMES = [pytest.param(name, marks=pytest.mark.full if name in BIG else ()) for name in RECORDED]


def build(name: str) -> nn.Module:
    return Wav2LipSyncNet() if name == "wav2lip" else StableSyncNet(SyncNetConfig.from_dict(CONFIGS[name]))


@pytest.mark.parametrize("name", RECORDED)
def test_a_syncnet_has_exactly_the_official_keys(name: str):
    with torch.device("meta"):
        network = build(name)
    manifest = facts(f"syncnet/{name}_manifest")
    assert shapes_of(network) == manifest
    assert list(network.state_dict()) == list(manifest)


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_a_syncnet_computes_what_the_reference_computes(name: str):
    with torch.device("meta"):
        network = build(name)
    network = network.to_empty(device="cpu").eval()
    fill_with_seeded_weights(network)
    frames = seeded(f"{name}.vision", RECORDED[name]["vision"])
    mel = seeded(f"{name}.audio", RECORDED[name]["audio"])
    for dtype, suffix in ((torch.float32, ""), (torch.float64, "_f64")):
        vision, audio = network.to(dtype)(frames.to(dtype), mel.to(dtype))
        expected = arrays(f"syncnet/{name}")
        assert largest_error(vision, expected[f"vision_embeds{suffix}"]) < ALLOWED[dtype]
        assert largest_error(audio, expected[f"audio_embeds{suffix}"]) < ALLOWED[dtype]


@torch.no_grad()
def test_cosines_are_between_zero_and_one():
    config = SyncNetConfig.from_dict(
        {
            "audio_encoder": {"in_channels": 1, "block_out_channels": [32, 32], "downsample_factors": [[2, 1], 2]},
            "visual_encoder": {"in_channels": 6, "block_out_channels": [32, 32], "downsample_factors": [[1, 2], 2]},
        }
    )
    vision, audio = StableSyncNet(config)(torch.randn(3, 6, 2, 4), torch.randn(3, 1, 4, 2))
    cosines = (vision * audio).sum(dim=1)
    assert (cosines >= 0).all()
    assert (cosines <= 1 + 1e-6).all()


def test_a_syncnet_configuration_survives_json():
    config = SyncNetConfig.from_dict(CONFIGS["syncnet_16_pixel_attn"])
    assert SyncNetConfig.from_dict(config.to_dict()) == config


def test_encoders_of_different_widths_are_refused():
    with pytest.raises(ValueError, match="same width"):
        SyncNetConfig.from_dict(
            {"audio_encoder": _SOUND_52, "visual_encoder": CONFIGS["syncnet_16_latent"]["visual_encoder"]}
        )
