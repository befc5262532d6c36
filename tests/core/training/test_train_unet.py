"""The U-Net's loss and sampler."""

import json

import numpy as np
import pytest
import torch
import yaml
from diffusers import DDIMScheduler

from latentsync_core.audio.mel_audio_encoder import SHAPE_GAIN, MelAudioEncoder
from latentsync_core.errors import BadCheckpoint
from latentsync_core.models.autoencoder import SpaceToDepthAutoencoder
from latentsync_core.models.unet import UNet3DConditionModel
from latentsync_core.models.unet_config import UNetConfig
from latentsync_core.training.face_clips import read_face_clips
from latentsync_core.training.latent_cache import LatentClip
from latentsync_core.training.recipe import build_config
from latentsync_core.training.train_unet import (
    Batch,
    UNetLosses,
    UNetRecipe,
    WindowSampler,
    build_unet,
    load_stage,
    loss_weights,
    sample_timesteps,
    timestep_weights,
)
from tests.conftest import REPOSITORY
from tests.core.training.killed_run import run_unbroken_and_killed
from tests.core.training.small_clips import save_small_clips

MODEL = {
    "in_channels": 13,
    "out_channels": 4,
    "block_out_channels": (32, 32),
    "down_block_types": ("DownBlock3D", "CrossAttnDownBlock3D"),
    "up_block_types": ("CrossAttnUpBlock3D", "UpBlock3D"),
    "layers_per_block": 1,
    "attention_head_dim": 2,
    "cross_attention_dim": 8,
    "norm_num_groups": 8,
    "use_inflated_groupnorm": True,
    "use_motion_module": False,
}
SCHEDULER = {"prediction_type": "sample", "clip_sample": False}

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def recipe(tmp_path, **changes) -> UNetRecipe:
    paths = dict.fromkeys(
        ("data_dir", "run_dir", "vae_dir", "audio_encoder_dir", "mask_path", "cache_dir"), str(tmp_path)
    )
    return build_config(UNetRecipe, {**paths, "model": MODEL, "scheduler": SCHEDULER, **changes}, "test")


def some_batch(batch_size: int = 2, frames: int = 1) -> Batch:
    generator = torch.Generator().manual_seed(0)
    target, masked, reference = torch.randn(3, batch_size, 4, frames, 8, 8, generator=generator)
    return Batch(target, masked, reference, torch.randn(batch_size, frames, 10, 8, generator=generator))


def half_mask() -> torch.Tensor:
    mask = torch.ones(1, 1, 64, 64)
    mask[..., 32:, :] = 0
    return mask


def test_the_loss_is_zero_for_the_true_change_and_the_weighted_square_otherwise(tmp_path):
    batch, mask = some_batch(), half_mask()[..., ::8, ::8]
    scheduler = DDIMScheduler.from_config(SCHEDULER)
    weights = loss_weights(half_mask(), 8, recipe(tmp_path))
    true_change = batch.target - batch.reference
    assert UNetLosses(lambda *_: true_change, scheduler, mask, weights, recipe(tmp_path))(batch, 0)["total"] < 1e-12
    torch.manual_seed(5)
    off_by_one_in_the_hole = true_change + (1 - mask[:, :, None])
    losses = UNetLosses(lambda *_: off_by_one_in_the_hole, scheduler, mask, weights, recipe(tmp_path))
    torch.manual_seed(5)
    loss = losses(batch, 0)["total"]
    torch.manual_seed(5)
    alpha = scheduler.alphas_cumprod[sample_timesteps(2, 1000)]
    by_hand = np.mean([min(max(float(a / (1 - a)), 1.0), 1.5) for a in alpha]) * float(weights[..., 4:, :].mean()) / 2
    assert float(loss) == pytest.approx(by_hand, rel=1e-4)


def test_the_discriminator_learns_alone_then_moves_the_prediction_where_it_is_shown(tmp_path):
    batch, mask = some_batch(4, 2), half_mask()[..., ::8, ::8]
    settings = recipe(tmp_path, adversarial_weight=1.0, adversarial_start=10, outside_weight=0.0)
    weights = loss_weights(half_mask(), 8, settings)
    change = torch.zeros_like(batch.target, requires_grad=True)
    losses = UNetLosses(lambda *_: change, DDIMScheduler.from_config(SCHEDULER), mask, weights, settings)
    early = losses(batch, 5)
    assert torch.equal(early["total"], early["reconstruction"])
    late = losses(batch, 20)
    assert not torch.equal(late["total"], late["reconstruction"])
    late["total"].backward()
    assert change.grad[..., 4:, :].any()
    assert not change.grad[..., :4, :].any()


def test_a_later_stage_goes_on_with_the_discriminator_of_the_one_before(tmp_path):
    settings = recipe(tmp_path)
    arguments = (lambda *_: None, DDIMScheduler.from_config(SCHEDULER), half_mask()[..., ::8, ::8], torch.ones(1))
    before = UNetLosses(*arguments, settings).adversary.discriminator
    torch.save(before.state_dict(), tmp_path / "discriminator.pt")
    settings = recipe(tmp_path, init_discriminator_from=str(tmp_path / "discriminator.pt"))
    after = UNetLosses(*arguments, settings).adversary.discriminator
    assert torch.equal(before.audio.weight, after.audio.weight)


def test_the_hole_counts_most(tmp_path):
    weights = loss_weights(half_mask(), 8, recipe(tmp_path, hole_weight=1.0, outside_weight=0.05))
    assert float(weights.mean()) == pytest.approx(1.0)
    assert float(weights[..., 5, 3] / weights[..., 1, 3]) == pytest.approx(21.0)


def test_nearly_clean_latents_do_not_dominate():
    assert timestep_weights(torch.tensor([0.0, 1.2, 1000.0])).tolist() == pytest.approx([1.0, 1.2, 1.5])


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


def test_a_stage_that_does_not_fit_is_refused_by_key(tmp_path):
    weights = UNet3DConditionModel(UNetConfig.from_dict(MODEL)).state_dict()
    del weights["conv_in.weight"]
    torch.save(weights, tmp_path / "stage1.pt")
    with pytest.raises(BadCheckpoint, match=r"conv_in\.weight"):
        load_stage(UNet3DConditionModel(UNetConfig.from_dict(MODEL)), tmp_path / "stage1.pt")


def test_a_batch_is_a_function_of_its_step(tmp_path):
    sampler = some_sampler(tmp_path, window_frames=3)
    first, again, other = sampler.batch(4), sampler.batch(4), sampler.batch(5)
    assert torch.equal(first.target, again.target)
    assert torch.equal(first.audio, again.audio)
    assert not torch.equal(first.target, other.target)


def test_a_window_hears_its_own_frames_and_sees_their_references(tmp_path):
    batch = some_sampler(tmp_path, window_frames=3, audio_dropout=0.0).batch(0)
    numbers = batch.target[:, 0, :, 0, 0]
    assert torch.equal(numbers.diff(dim=1), torch.full((4, 2), 2.0))  # every second frame is cached
    assert torch.equal(batch.audio[:, :, 0, 0], numbers)
    assert torch.equal(batch.reference[:, 0, :, 0, 0], numbers + 100)


def test_the_true_lip_shape_stands_where_the_prediction_does(tmp_path):
    changes = {"audio_dropout": 0.0, "true_shape_share": 1.0, "true_shape_noise": 0.0}
    batch = some_sampler(tmp_path, window_frames=3, **changes).batch(0)
    numbers = batch.target[:, 0, :, 0, 0]
    assert torch.equal(batch.audio[:, :, 0, 0], numbers)  # the hidden channels stay
    assert torch.equal(batch.audio[..., -3:], SHAPE_GAIN * numbers[:, :, None, None].expand(-1, -1, 10, 3))


def test_noisy_timesteps_come_more_often():
    timesteps = sample_timesteps(20_000, 1000)
    assert timesteps.min() >= 0
    assert timesteps.max() < 1000
    assert float((timesteps >= 500).float().mean()) == pytest.approx(1 - 0.5 ** (1 / 0.45), abs=0.02)


def some_sampler(tmp_path, **changes) -> WindowSampler:
    """Two clips whose latents and audio windows all hold the number of their frame."""
    clips = read_face_clips(save_small_clips(tmp_path / "clips", {"a": 1, "b": 1}, side=8))
    cached, audio, shapes = [], {}, {}
    for clip in clips:
        numbers = np.arange(0, clip.num_frames, 2)
        latents = np.broadcast_to(numbers[:, None, None, None], (len(numbers), 4, 2, 2)).astype(np.float16)
        path = tmp_path / f"{clip.folder.name}.npz"
        np.savez(path, frames=numbers, latents=latents, masked=latents, references=latents + 100)
        cached.append(LatentClip(path, clip))
        audio[clip.folder.name] = [torch.arange(clip.num_frames)[:, None, None].expand(-1, 10, 8).half()]
        shapes[clip.folder.name] = np.repeat(np.arange(clip.num_frames, dtype=np.float32)[:, None], 3, axis=1)
    return WindowSampler(cached, audio, shapes, recipe(tmp_path, batch_size=4, **changes))


def write_recipe(folder, **changes):
    """A recipe with all that it names: clips of 256 px, an autoencoder, an audio encoder."""
    torch.manual_seed(0)
    save_small_clips(folder / "faces", {"ann": 1, "ben": 1}, frames=9)
    vae = SpaceToDepthAutoencoder(latent_channels=4, widths=(8, 8, 8), blocks=(0, 0, 0), scaling_factor=0.5)
    vae.save_pretrained(folder / "vae")
    MelAudioEncoder(channels=4, dilations=(1,), num_shape_components=4).save_pretrained(folder / "audio")
    values = {
        "data_dir": str(folder / "faces"),
        "run_dir": str(folder / "run"),
        "vae_dir": str(folder / "vae"),
        "audio_encoder_dir": str(folder / "audio"),
        "mask_path": str(REPOSITORY / "models" / "mini" / "mask.png"),
        "cache_dir": str(folder / "cache"),
        "model": {**MODEL, "use_motion_module": True, "motion_module_resolutions": (2,)},
        "scheduler": SCHEDULER,
        "frame_stride": 1,
        "window_frames": 4,
        "variants": 1,
        "batch_size": 2,
        "max_minutes": float("inf"),
        "warmup_steps": 3,
        "checkpoint_minutes": 1e9,
        **changes,
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(json.loads(json.dumps(values))))
    return path


@pytest.mark.timeout(200)
def test_a_killed_run_ends_bit_for_bit_where_an_unbroken_one_does(tmp_path):
    path = write_recipe(tmp_path, steps=7, true_shape_share=0.5, adversarial_weight=1.0, adversarial_start=2)
    runs = run_unbroken_and_killed("train-unet", path, steps=7, checkpoint_steps=3, killed_in_step=4)
    for name in ("unet.pt", "discriminator.pt"):
        weights = [torch.load(run / name, weights_only=True) for run in runs]
        assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0]), name
