"""How the denoising loop behaves: order of inputs, guidance, residual prediction, cancelling."""

from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler
from torch import Tensor

from latentsync_core.bundle import official_scheduler
from latentsync_core.diffusion.denoise import denoise
from latentsync_core.diffusion.guidance import guide, with_silence
from latentsync_core.diffusion.latents import decode_latents, encode_to_latents, mask_at_latents, spatial_factor
from latentsync_core.diffusion.unet_input import unet_input
from latentsync_core.errors import Cancelled
from latentsync_core.models.autoencoder import SpaceToDepthAutoencoder


def some_inputs(channels: int = 3, frames: int = 2) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    return {
        "noise": torch.randn(1, channels, 1, 4, 4, generator=generator),
        "mask": torch.zeros(1, 1, 4, 4),
        "masked": torch.randn(1, channels, frames, 4, 4, generator=generator),
        "reference": torch.randn(1, channels, frames, 4, 4, generator=generator),
        "audio": torch.randn(frames, 10, 5, generator=generator),
        "steps": 4,
    }


def test_the_unet_sees_noise_mask_masked_and_reference_in_this_order():
    parts = [torch.full((1, 4, 2, 3, 3), value) for value in (0.0, 2.0, 3.0)]
    mask = torch.ones(1, 1, 3, 3)
    stacked = unet_input(parts[0], mask, parts[1], parts[2])
    assert stacked.shape == (1, 13, 2, 3, 3)
    assert stacked[0, :, 1, 0, 0].tolist() == [0] * 4 + [1] + [2] * 4 + [3] * 4


def test_guidance_runs_silence_first_then_the_audio():
    batches: list[Tensor] = []

    def watch(sample: Tensor, timestep: Tensor, audio: Tensor) -> Tensor:
        batches.append(audio)
        assert torch.equal(sample[0], sample[1])
        return sample[:, :3]

    inputs = some_inputs()
    denoise(watch, official_scheduler(), guidance=1.5, **inputs)
    assert not batches[0][0].any()
    assert torch.equal(batches[0][1], inputs["audio"])


@pytest.mark.parametrize("guidance", [0.0, 1.0])
def test_without_guidance_there_is_no_second_pass(guidance: float):
    def watch(sample: Tensor, timestep: Tensor, audio: Tensor) -> Tensor:
        assert sample.shape[0] == audio.shape[0] == 1
        assert audio.any()
        return sample[:, :3]

    denoise(watch, official_scheduler(), guidance=guidance, **some_inputs())


def test_guidance_of_one_is_the_audios_prediction():
    prediction = torch.randn(2, 3)
    torch.testing.assert_close(guide(prediction, 1.0), prediction[1:])
    torch.testing.assert_close(guide(prediction, 2.0), 2 * prediction[1:] - prediction[:1])
    assert with_silence(torch.ones(1, 2, 3, 4)).shape == (2, 2, 3, 4)


def test_a_residual_network_that_says_zero_gives_the_reference():
    scheduler = DDIMScheduler.from_config(official_scheduler().config, prediction_type="sample", set_alpha_to_one=True)
    inputs = some_inputs()

    def unchanged(sample: Tensor, timestep: Tensor, audio: Tensor) -> Tensor:
        return torch.zeros_like(sample[:, :3])

    clean = denoise(unchanged, scheduler, guidance=1.5, residual_reference=True, **inputs)
    torch.testing.assert_close(clean, inputs["reference"], rtol=0, atol=1e-4)


def test_the_network_runs_in_the_dtype_of_the_latents_and_the_loop_in_float32():
    inputs = some_inputs()
    inputs["reference"], inputs["masked"] = inputs["reference"].bfloat16(), inputs["masked"].bfloat16()

    def watch(sample: Tensor, timestep: Tensor, audio: Tensor) -> Tensor:
        assert sample.dtype == audio.dtype == torch.bfloat16
        return sample[:, :3]

    assert denoise(watch, official_scheduler(), guidance=1.5, **inputs).dtype == torch.float32


def test_every_step_is_reported_and_may_end_the_loop():
    steps: list[int] = []

    def cancel_at_the_second(step: int) -> None:
        steps.append(step)
        if step == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        denoise(
            lambda sample, timestep, audio: sample[:, :3],
            official_scheduler(),
            guidance=1.0,
            on_step=cancel_at_the_second,
            **some_inputs(),
        )
    assert steps == [1, 2]


def test_one_scheduler_serves_windows_of_different_length():
    scheduler = official_scheduler()

    def halve(sample: Tensor, timestep: Tensor, audio: Tensor) -> Tensor:
        return sample[:, :3] / 2

    first = denoise(halve, scheduler, guidance=1.0, **some_inputs())
    denoise(halve, scheduler, guidance=1.0, **some_inputs(frames=5))
    torch.testing.assert_close(denoise(halve, scheduler, guidance=1.0, **some_inputs()), first, rtol=0, atol=0)


@pytest.fixture
def kl_autoencoder() -> AutoencoderKL:
    torch.manual_seed(0)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 8),
        norm_num_groups=4,
        latent_channels=4,
    ).eval()


@torch.no_grad()
def test_latents_are_samples_scaled_as_stable_diffusion_scales_them(kl_autoencoder: AutoencoderKL):
    pixels = torch.rand(2, 3, 16, 16) * 2 - 1
    latents = encode_to_latents(kl_autoencoder, pixels, torch.Generator().manual_seed(1))
    sample = kl_autoencoder.encode(pixels).latent_dist.sample(torch.Generator().manual_seed(1))
    torch.testing.assert_close(latents, sample * 0.18215)
    assert not torch.allclose(latents, encode_to_latents(kl_autoencoder, pixels, torch.Generator().manual_seed(2)))
    torch.testing.assert_close(decode_latents(kl_autoencoder, latents), kl_autoencoder.decode(sample).sample)
    assert spatial_factor(kl_autoencoder) == 2


@torch.no_grad()
def test_an_autoencoder_with_a_shift_comes_back_to_where_it_was():
    autoencoder = SpaceToDepthAutoencoder(
        latent_channels=16, widths=(8, 8, 8), blocks=(1, 1, 1), scaling_factor=0.5, shift_factor=3.0
    ).eval()
    pixels = torch.rand(1, 3, 32, 32) * 2 - 1
    raw = autoencoder.encode(pixels).latent_dist.mode()
    latents = encode_to_latents(autoencoder, pixels)
    torch.testing.assert_close(latents, (raw - 3.0) * 0.5)
    torch.testing.assert_close(decode_latents(autoencoder, latents), autoencoder.decode(raw).sample)
    assert spatial_factor(autoencoder) == 16


def test_the_mask_is_sampled_at_every_eighth_pixel_from_the_first():
    mask = torch.arange(64.0).reshape(1, 1, 1, 64).expand(1, 1, 64, 64)
    assert mask_at_latents(mask, 8)[0, 0, 0].tolist() == [0, 8, 16, 24, 32, 40, 48, 56]
