"""The bundle that ships: what must hold of its weights and settings."""

from pathlib import Path

import numpy as np
import pytest
import torch

from latentsync_core.bundle import Bundle, load_bundle
from latentsync_core.evaluation.face_clip import measure_clip
from latentsync_core.evaluation.picture_quality import lower_face_psnr
from latentsync_core.face.mediapipe_backend import MediapipeBackend
from latentsync_core.mouth_generator import Denoising, MouthGenerator

SAMPLE = Path("samples/sample.mp4")


@pytest.fixture(scope="module")
def mini() -> Bundle:
    return load_bundle("mini", device="cpu")


@pytest.mark.parametrize("steps", [1, 4, 20])
def test_the_first_step_starts_from_pure_noise(mini: Bundle, steps: int):
    mini.scheduler.set_timesteps(steps)
    assert mini.scheduler.timesteps[0] == mini.scheduler.config.num_train_timesteps - 1


@torch.inference_mode()
def test_one_step_gives_a_mouth_and_no_noise(mini: Bundle):
    with MediapipeBackend() as detector:
        real = measure_clip(SAMPLE, detector).crops[:1]
    generator = MouthGenerator(mini, torch.zeros(50, *_state_shape(mini)), Denoising(steps=1, guidance=1.0, seed=0))
    latents = generator.denoise_block(
        [real[0]], [0.5], [range(1)], first_frame=0, references=real[:1], on_step=lambda: None
    )
    assert lower_face_psnr(np.stack(generator.decode(latents)), real) > 17  # dB; pure noise is at 11


def _state_shape(bundle: Bundle) -> tuple[int, int]:
    _, layers, width = bundle.audio_encoder.encode(torch.zeros(16_000)).shape
    return layers, width
