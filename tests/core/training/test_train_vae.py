"""The autoencoder's training: exact resume, and the scale of the latents it leaves."""

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

from latentsync_core.models.autoencoder import SpaceToDepthAutoencoder
from latentsync_core.training.curves import Curve
from latentsync_core.training.train_vae import VaeRecipe, train_vae
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


def test_held_out_people_are_measured_and_drawn(tmp_path):
    faces = save_small_clips(tmp_path / "faces", {"ann": 1, "ben": 1}, side=32)
    meta = faces / "ben-0" / "meta.json"
    meta.write_text(meta.read_text().replace('"train"', '"val"'))
    run = tmp_path / "run"
    recipe = VaeRecipe(faces, run, steps=4, batch_size=2, patch_size=16, latent_channels=4, validate_every=2)
    model = train_vae(recipe)
    rows = Curve(run / "validation.csv").rows()
    assert [row["step"] for row in rows] == [2, 4]
    crops = np.load(faces / "ben-0" / "crops.npy")[[4, 8]] / 127.5 - 1
    errors = []
    for crop in torch.from_numpy(crops).float().permute(0, 3, 1, 2):
        with torch.no_grad():
            decoded = model.decode(model.encode(crop[None]).latent_dist.mean).sample[0]
        errors.append(float((decoded - crop).square().mean()) / 4)  # of values that span 2
    assert rows[-1]["psnr"] == pytest.approx(np.mean(-10 * np.log10(errors)), abs=1e-3)
    assert Image.open(run / "samples" / "step_00000004.png").size == (2 * 32, 2 * 32)
    assert (run / "curves.png").stat().st_size > 0
