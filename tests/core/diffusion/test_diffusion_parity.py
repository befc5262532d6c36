"""Scheduler, guidance and estimates against the recording of the reference, in float32 and in float64."""

import pytest
import torch
from torch import Tensor

from latentsync_core.bundle import official_scheduler
from latentsync_core.diffusion.denoise import denoise
from latentsync_core.diffusion.noise import shared_noise
from latentsync_core.diffusion.one_step import estimate_clean
from tests.parity.golden import arrays, facts, largest_error, seeded

GOLDEN = arrays("ddim/ddim")
FACTS = facts("ddim/ddim")
TRAIN_TIMESTEPS = torch.tensor([0, 1, 500, 999])
ALLOWED = 2e-4  # of values up to 30 and 80


def test_the_scheduler_is_the_official_one():
    config = official_scheduler().config
    assert {key: config[key] for key in FACTS["config"] if key in config} == {
        key: value for key, value in FACTS["config"].items() if key in config
    }
    assert largest_error(official_scheduler().alphas_cumprod, GOLDEN["alphas_cumprod"]) == 0


@pytest.mark.parametrize("steps", FACTS["timesteps"])
def test_timesteps_are_the_references(steps: str):
    scheduler = official_scheduler()
    scheduler.set_timesteps(int(steps))
    assert scheduler.timesteps.tolist() == FACTS["timesteps"][steps]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_all_states_of_twenty_steps_are_the_references(dtype: torch.dtype):
    states: list[Tensor] = []

    def sine(sample: Tensor, timestep: Tensor, audio: Tensor) -> Tensor:
        states.append(sample[:, :4])
        return torch.sin(sample[:, :4] + timestep / 1000)

    noise = seeded("ddim.x", (1, 4, 2, 8, 8), dtype)
    nothing = torch.zeros_like(noise)
    states.append(
        denoise(
            sine,
            official_scheduler(),
            noise=noise,
            mask=nothing[:, :1, 0],
            masked=nothing,
            reference=nothing,
            audio=torch.zeros(2, 1, 1),
            steps=20,
            guidance=1.0,
        )
    )
    assert len(states) == 21
    assert states[-1].dtype == dtype
    for found, expected in zip(states, GOLDEN["trajectory_20"], strict=True):
        assert largest_error(found, expected) < ALLOWED


def test_adding_noise_is_the_references():
    shape = (4, 4, 3, 4, 4)
    found = official_scheduler().add_noise(seeded("ddim.x0", shape), seeded("ddim.noise", shape), TRAIN_TIMESTEPS)
    assert largest_error(found, GOLDEN["add_noise"]) < 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_one_step_estimate_is_the_references(dtype: torch.dtype):
    shape = (4, 4, 3, 4, 4)
    scheduler = official_scheduler()
    noise, clean = seeded("ddim.noise", shape, dtype), seeded("ddim.x0", shape, dtype)
    noisy = scheduler.add_noise(clean, noise, TRAIN_TIMESTEPS)
    found = estimate_clean(noisy, seeded("ddim.pred", shape, dtype), TRAIN_TIMESTEPS, scheduler.alphas_cumprod)
    assert largest_error(found, GOLDEN["one_step_sampling"]) < ALLOWED
    exact = estimate_clean(noisy, noise, TRAIN_TIMESTEPS, scheduler.alphas_cumprod)
    torch.testing.assert_close(exact, clean, rtol=0, atol=1e-5)  # the true noise gives the true picture


def test_one_frame_of_noise_comes_from_the_seed():
    noise = shared_noise(4, 8, 8, seed=1247)
    assert noise.shape == (1, 4, 1, 8, 8)
    assert largest_error(noise[0, :, 0], arrays("pipeline/pipeline")["noise_frame"]) == 0
    assert not torch.equal(noise, shared_noise(4, 8, 8, seed=1248))
