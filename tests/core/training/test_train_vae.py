"""The autoencoder's training: exact resume, and the scale of the latents it leaves."""

import pytest
import torch
import yaml
from safetensors.torch import load_file

from latentsync_core.models.autoencoder import SpaceToDepthAutoencoder
from tests.core.training.killed_run import run_unbroken_and_killed
from tests.core.training.small_clips import save_small_clips

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.mark.timeout(200)
def test_a_killed_run_ends_bit_for_bit_where_an_unbroken_one_does(tmp_path):
    save_small_clips(tmp_path / "faces", {"ann": 1, "ben": 2}, side=32)
    values = {
        "data_dir": str(tmp_path / "faces"),
        "run_dir": "set by the test",
        "steps": 7,
        "max_minutes": float("inf"),
        "batch_size": 2,
        "patch_size": 16,
        "warmup_steps": 3,
        "checkpoint_minutes": 1e9,
        "latent_channels": 4,
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(values))
    runs = run_unbroken_and_killed("train-vae", path, steps=7, checkpoint_steps=3, killed_in_step=4)
    name = "diffusion_pytorch_model.safetensors"
    weights = [load_file(run / "vae" / name) for run in runs]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    scales = [SpaceToDepthAutoencoder.from_pretrained(run / "vae").config["scaling_factor"] for run in runs]
    assert scales[0] == scales[1] != 1.0
