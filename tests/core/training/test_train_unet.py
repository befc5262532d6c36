"""The U-Net's training: what learns, where it starts, exact resume."""

import pytest
import torch
from diffusers import DDIMScheduler

from latentsync_core.errors import BadCheckpoint
from latentsync_core.models.unet import UNet3DConditionModel
from latentsync_core.models.unet_config import UNetConfig
from latentsync_core.training.decoded_losses import STAND_IN
from latentsync_core.training.recipe import read_recipe
from latentsync_core.training.reconstruction import loss_weights
from latentsync_core.training.runs import read_curve
from latentsync_core.training.train_unet import build_unet, load_stage, train_unet
from latentsync_core.training.unet_losses import UNetLosses
from latentsync_core.training.unet_recipe import UNetRecipe
from latentsync_core.training.unet_windows import WindowSampler
from tests.core.training.killed_run import run_unbroken_and_killed
from tests.core.training.small_unet import MODEL, SCHEDULER, half_mask, recipe, some_batch
from tests.core.training.small_unet_run import write_recipe

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def test_stage_2_trains_the_temporal_layers_and_attentions_only(tmp_path):
    stage1 = UNet3DConditionModel(UNetConfig.from_dict(MODEL))
    torch.save(stage1.state_dict(), tmp_path / "stage1.pt")
    model = {**MODEL, "use_motion_module": True, "motion_module_resolutions": (2,)}
    stage2 = build_unet(
        recipe(tmp_path, model=model, init_from=str(tmp_path / "stage1.pt"), trainable=["motion_modules", "attentions"])
    )
    weights = loss_weights(half_mask(), 8, recipe(tmp_path))
    with torch.no_grad():  # a fresh network's output layers are zero, which would stop every gradient
        torch.nn.init.normal_(stage2.conv_out.weight)
        for name, parameter in stage2.named_parameters():
            if name.endswith("proj_out.weight"):
                torch.nn.init.normal_(parameter, std=0.02)
    scheduler, small_mask = DDIMScheduler.from_config(SCHEDULER), half_mask()[..., ::8, ::8]
    UNetLosses(stage2, scheduler, small_mask, weights, recipe(tmp_path))(some_batch(1, 3), 0)["total"].backward()
    reached = {
        name for name, parameter in stage2.named_parameters() if parameter.grad is not None and parameter.grad.any()
    }
    wanted = {name for name, _ in stage2.named_parameters() if "motion_modules" in name or "attentions" in name}
    # a softmax is blind to one bias for all its keys; these layers have none
    assert reached == wanted


def test_a_stage_may_leave_out_the_temporal_layers_of_the_one_before(tmp_path):
    temporal = {**MODEL, "use_motion_module": True, "motion_module_resolutions": [2]}
    before = UNet3DConditionModel(UNetConfig.from_dict(temporal)).state_dict()
    torch.save(before, tmp_path / "stage2.pt")
    without = UNet3DConditionModel(UNetConfig.from_dict(MODEL))
    load_stage(without, tmp_path / "stage2.pt")
    assert all(torch.equal(value, before[name]) for name, value in without.state_dict().items())


def test_a_stage_that_does_not_fit_is_refused_by_key(tmp_path):
    weights = UNet3DConditionModel(UNetConfig.from_dict(MODEL)).state_dict()
    del weights["conv_in.weight"]
    torch.save(weights, tmp_path / "stage1.pt")
    with pytest.raises(BadCheckpoint, match=r"conv_in\.weight"):
        load_stage(UNet3DConditionModel(UNetConfig.from_dict(MODEL)), tmp_path / "stage1.pt")


@pytest.mark.timeout(200)
def test_a_killed_run_ends_bit_for_bit_where_an_unbroken_one_does(tmp_path):
    changes = {"true_shape_share": 0.5, "adversarial_weight": 1.0, "adversarial_start": 2}
    losses = {"sync": 0, "lpips": 0, "trepa": 10, "videomae_dir": STAND_IN}
    validation = {"steps": 2, "windows": 3, "generated": 1, "sample_seconds": 0.2, "denoising_steps": 1}
    path = write_recipe(tmp_path, ("cyd",), steps=7, losses=losses, validation=validation, **changes)
    runs = run_unbroken_and_killed("train-unet", path, steps=7, checkpoint_steps=3, killed_in_step=4)
    for name in ("unet.pt", "discriminator.pt"):
        weights = [torch.load(run / name, weights_only=True) for run in runs]
        assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0]), name
    measured = [[{**row, "seconds": 0} for row in read_curve(run / "validation.csv")] for run in runs]
    assert [row["step"] for row in measured[0]] == [2, 4, 6, 7]
    assert measured[0] == measured[1]


def test_half_precision_with_checkpointing_and_accumulation_leaves_a_plan_and_a_scale(tmp_path, monkeypatch):
    changes = {"precision": "fp16", "gradient_checkpointing": True, "batches_per_step": 2, "device": "cpu"}
    settings = read_recipe(write_recipe(tmp_path, steps=2, batch_size=1, **changes), UNetRecipe)
    drawn, told = [], []
    draw = WindowSampler.batch
    monkeypatch.setattr(WindowSampler, "batch", lambda self, number: drawn.append(number) or draw(self, number))
    train_unet(settings, tell=told.append)
    assert drawn == [0, 1, 2, 3]
    (plan,) = told
    assert "memory plan, in all" in plan
    state = torch.load(tmp_path / "run" / "checkpoints" / "step_00000002.pt", weights_only=True)
    assert state["scaler"]["scale"] > 0
    assert all(tensor.isfinite().all() for tensor in state["model"].values())
    assert {tensor.dtype for tensor in state["model"].values()} == {torch.float32}  # though computed in float16
