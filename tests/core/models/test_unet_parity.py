"""The U-Net against the recording of the reference: keys, shapes and outputs, in float32 and in float64."""

import os
from typing import Any

import psutil
import pytest
import torch
from torch import Tensor

from latentsync_core.models.embeddings import PositionalEncoding, position_sinusoid
from latentsync_core.models.unet import UNet3DConditionModel
from latentsync_core.models.unet_config import UNetConfig
from tests.parity.golden import arrays, facts, fill_with_seeded_weights, largest_error, seeded, shapes_of

SMALL = facts("unet/small")
FULL_CONFIGS = {
    "stage1": UNetConfig(use_motion_module=False),
    "stage2": UNetConfig(),
    "stage2_efficient": UNetConfig(motion_module_decoder_only=True),
}
SMALL_CASES = [(variant, case) for variant, known in SMALL["variants"].items() for case in known["cases"]]
ALLOWED = {torch.float32: 5e-5, torch.float64: 5e-6}
#: The full network in float64 holds 10 GB of weights and the same again while they are made.
BYTES_FOR_FULL = {torch.float32: 9e9, torch.float64: 16e9}


def small_config(variant: str) -> UNetConfig:
    return UNetConfig.from_dict({**SMALL["base_overrides"], **SMALL["variants"][variant]["overrides"]})


@pytest.fixture(scope="module")
def small_networks() -> dict[str, UNet3DConditionModel]:
    networks = {variant: UNet3DConditionModel(small_config(variant)).eval() for variant in SMALL["variants"]}
    for network in networks.values():
        fill_with_seeded_weights(network)
    return networks


def recorded_input(prefix: str, case: dict[str, Any], batch: int, audio_width: int) -> tuple[Tensor, Tensor | None]:
    frames, (height, width) = case["frames"], case["latent"]
    sample = seeded(f"{prefix}.sample.{frames}x{height}x{width}", (batch, 13, frames, height, width))
    audio = seeded(f"{prefix}.audio.{frames}", (batch, frames, 50, audio_width))
    if case["audio"] == "none":
        return sample, None
    if case["audio"] == "cfg":
        audio[: batch // 2] = 0
    if case["audio"] == "zeros":
        audio = torch.zeros_like(audio)
    return sample, audio


@pytest.mark.parametrize("name", FULL_CONFIGS)
def test_the_full_network_has_exactly_the_official_keys(name: str):
    with torch.device("meta"):
        network = UNet3DConditionModel(FULL_CONFIGS[name])
    manifest = facts(f"unet/full_{name}_manifest")
    assert shapes_of(network) == manifest
    assert list(network.state_dict()) == list(manifest)  # the same order too
    assert sum(p.numel() for p in network.parameters()) == facts("unet/full_summary")[name]["parameters"]


@pytest.mark.parametrize("variant", SMALL["variants"])
def test_a_small_network_has_exactly_the_official_keys(variant: str):
    assert shapes_of(UNet3DConditionModel(small_config(variant))) == facts(f"unet/small_{variant}_manifest")


@pytest.mark.parametrize(("variant", "case"), SMALL_CASES)
def test_a_small_network_computes_what_the_reference_computes(
    small_networks: dict[str, UNet3DConditionModel], variant: str, case: str
):
    recorded = SMALL["variants"][variant]["cases"][case]
    expected = arrays(f"unet/small_{variant}")[case]
    sample, audio = recorded_input("unet_small", recorded, expected.shape[0], 48)
    with torch.no_grad():
        found = small_networks[variant].float()(sample, recorded["timestep"], audio)
    assert largest_error(found, expected) < ALLOWED[torch.float32]


@pytest.mark.parametrize("variant", SMALL["variants"])
def test_float64_shows_no_wrong_eps(small_networks: dict[str, UNet3DConditionModel], variant: str):
    sample, audio = recorded_input("unet_small", SMALL["variants"][variant]["cases"]["t981"], 1, 48)
    assert audio is not None
    with torch.no_grad():
        found = small_networks[variant].double()(sample.double(), 981, audio.double())
    small_networks[variant].float()
    assert largest_error(found, arrays(f"unet/small_{variant}")["t981_f64"]) < ALLOWED[torch.float64]


@pytest.mark.full
@pytest.mark.skipif(os.environ.get("FULL_PARITY") != "1", reason="minutes and gigabytes: set FULL_PARITY=1 to run it")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_the_full_network_computes_what_the_reference_computes(dtype: torch.dtype):
    if psutil.virtual_memory().available < BYTES_FOR_FULL[dtype]:
        pytest.skip(f"needs {BYTES_FOR_FULL[dtype] / 1e9:.0f} GB of free memory")
    with torch.device("meta"):
        network = UNet3DConditionModel(UNetConfig())
    network = network.to(dtype).to_empty(device="cpu").eval().requires_grad_(False)
    _compute_tables(network)
    fill_with_seeded_weights(network)
    recorded = facts("unet/full")["cases"]
    expected = arrays("unet/full_forward")
    cases = recorded if dtype == torch.float32 else ["b1_t981"]
    for name in cases:
        key = name if dtype == torch.float32 else f"{name}_f64"
        sample, audio = recorded_input("unet_full", recorded[name], expected[key].shape[0], 384)
        assert audio is not None
        found = network(sample.to(dtype), torch.as_tensor(recorded[name]["timestep"]), audio.to(dtype))
        error = largest_error(found, expected[key])
        print(f"full U-Net {key}: {error:.2e}")  # noqa: T201
        assert error < ALLOWED[dtype], key


def _compute_tables(network: UNet3DConditionModel) -> None:
    """Refill the position tables, which a network that was built without memory has lost."""
    for module in network.modules():
        if isinstance(module, PositionalEncoding):
            module.pe.copy_(position_sinusoid(module.pe.shape[1], module.pe.shape[2]))
