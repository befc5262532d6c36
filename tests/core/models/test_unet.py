"""How the U-Net behaves, beyond the numbers of the recording."""

import pytest
import torch
from torch import Tensor, nn

from latentsync_core.models.unet import UNet3DConditionModel
from latentsync_core.models.unet_config import MotionModuleConfig, UNetConfig


def two_level_config(**changes: object) -> UNetConfig:
    """Two levels and 16 latent channels, as a bundle of our own may have."""
    values = {
        "in_channels": 49,
        "out_channels": 16,
        "block_out_channels": [32, 64],
        "down_block_types": ["CrossAttnDownBlock3D"] * 2,
        "up_block_types": ["CrossAttnUpBlock3D"] * 2,
        "layers_per_block": 1,
        "attention_head_dim": 4,
        "cross_attention_dim": 24,
        "norm_num_groups": 8,
        "motion_module_resolutions": [2],
        "motion_module_kwargs": {"temporal_position_encoding_max_len": 8},
    }
    return UNetConfig.from_dict({**values, **changes})


def awake(network: UNet3DConditionModel) -> UNet3DConditionModel:
    """Replace the weights that start at zero, so that every layer has an effect."""
    torch.manual_seed(1)
    for parameter in network.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.05)
    return network


def some_input(batch: int = 2, frames: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    sample = torch.randn(batch, 49, frames, 8, 8, generator=generator)
    return sample, torch.randn(batch, frames, 10, 24, generator=generator)


@pytest.fixture(scope="module")
def network() -> UNet3DConditionModel:
    return awake(UNet3DConditionModel(two_level_config())).eval()


@torch.no_grad()
def test_audio_may_come_with_the_frames_folded_into_the_batch(network: UNet3DConditionModel):
    sample, audio = some_input()
    torch.testing.assert_close(network(sample, 5, audio), network(sample, 5, audio.flatten(0, 1)), rtol=0, atol=0)


@torch.no_grad()
def test_every_item_of_a_batch_has_its_own_timestep_and_knows_nothing_of_the_others(network: UNet3DConditionModel):
    sample, audio = some_input()
    both = network(sample, torch.tensor([5, 700]), audio)
    torch.testing.assert_close(both[1:], network(sample[1:], 700, audio[1:]), rtol=0, atol=1e-5)


@torch.no_grad()
def test_silence_is_not_the_same_as_no_audio(network: UNet3DConditionModel):
    sample, audio = some_input()
    assert not torch.allclose(network(sample, 5, torch.zeros_like(audio)), network(sample, 5, None), atol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize(("per_frame", "mixes"), [(False, True), (True, False)])
def test_resnet_norms_mix_frames_as_the_official_networks_do(per_frame: bool, mixes: bool):
    config = two_level_config(use_motion_module=False, use_inflated_groupnorm=per_frame)
    network = awake(UNet3DConditionModel(config)).eval()
    sample, audio = some_input(batch=1)
    changed = sample.clone()
    changed[:, :, -1] += 1
    moved = (network(sample, 5, audio) - network(changed, 5, audio))[:, :, 0].abs().max()
    assert (moved > 1e-4) == mixes


@torch.no_grad()
def test_temporal_layers_stand_only_where_the_configuration_says():
    config = two_level_config(motion_module_decoder_only=True)
    keys = UNet3DConditionModel(config).state_dict()
    assert {key.split(".motion_modules")[0] for key in keys if "motion_modules" in key} == {"up_blocks.0"}


@torch.no_grad()
def test_more_frames_than_the_position_table_has_rows_are_refused(network: UNet3DConditionModel):
    sample, audio = some_input(batch=1, frames=9)
    with pytest.raises(ValueError, match="9 frames"):
        network(sample, 5, audio)


@torch.no_grad()
def test_sides_that_are_no_power_of_two_work(network: UNet3DConditionModel):
    assert network(torch.randn(1, 49, 2, 7, 5), 5, torch.randn(1, 2, 10, 24)).shape == (1, 16, 2, 7, 5)


def test_a_new_network_says_zero():
    sample, audio = some_input(batch=1)
    assert not UNet3DConditionModel(two_level_config())(sample, 5, audio).any()


def test_gradient_checkpointing_changes_no_gradient():
    sample, audio = some_input(batch=1)
    gradients = []
    for enabled in (False, True):
        network = awake(UNet3DConditionModel(two_level_config()))
        awake_weights = torch.Generator().manual_seed(2)
        for parameter in network.parameters():
            nn.init.normal_(parameter, std=0.05, generator=awake_weights)
        network.set_gradient_checkpointing(enabled)
        network(sample, 5, audio).square().mean().backward()
        gradients.append([parameter.grad for parameter in network.parameters()])
    for plain, checkpointed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, checkpointed)


@pytest.mark.parametrize("per_frame", [True, False])
@pytest.mark.parametrize(("batch", "frames"), [(4, 1), (1, 4)])
def test_it_trains_under_bfloat16_autocast_on_a_cpu(batch: int, frames: int, per_frame: bool):
    network = awake(UNet3DConditionModel(two_level_config(use_inflated_groupnorm=per_frame)))
    sample, audio = some_input(batch, frames)
    with torch.autocast("cpu", torch.bfloat16):
        prediction = network(sample, torch.randint(0, 1000, (batch,)), audio)
    prediction.float().square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.no_grad()
def test_it_runs_in_half_precision(dtype: torch.dtype):
    network = awake(UNet3DConditionModel(two_level_config())).eval()
    sample, audio = some_input(batch=1)
    exact = network(sample, 5, audio)
    rough = network.to(dtype)(sample.to(dtype), 5, audio.to(dtype))
    assert rough.dtype == dtype
    assert (rough.float() - exact).abs().max() < 0.05 * exact.abs().max()


def test_a_configuration_reads_what_yaml_makes_of_the_official_files():
    config = UNetConfig.from_dict({"norm_eps": "1e-5", "act_fn": "silu", "block_out_channels": [320, 640, 1280, 1280]})
    assert config == UNetConfig()
    assert UNetConfig.from_dict(two_level_config().to_dict()) == two_level_config()


@pytest.mark.parametrize(
    "wrong",
    [
        {"no_such_key": 1},
        {"act_fn": "relu"},
        {"down_block_types": ["DownBlock3D"]},
        {"up_block_types": ["A", "B", "C", "D"]},
        {"resnet_time_scale_shift": "other"},
    ],
)
def test_a_configuration_refuses_what_is_not_built_here(wrong: dict[str, object]):
    with pytest.raises(ValueError, match=r"\w"):
        UNetConfig.from_dict(wrong)


def test_an_unknown_temporal_attention_is_refused():
    with pytest.raises(ValueError, match="Temporal_Cross"):
        MotionModuleConfig(attention_block_types=("Temporal_Cross",))
