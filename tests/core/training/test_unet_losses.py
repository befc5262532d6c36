"""The total loss of a U-Net: on latents, on decoded frames, with a discriminator."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from transformers import VideoMAEConfig, VideoMAEModel

from latentsync_core.errors import BadCheckpoint, BadOption
from latentsync_core.models.autoencoder import SpaceToDepthAutoencoder
from latentsync_core.models.syncnet import StableSyncNet
from latentsync_core.training.decoded_losses import STAND_IN, Estimate, LossRecipe, load_decoded_losses
from latentsync_core.training.losses.lpips_loss import random_vgg_distance
from latentsync_core.training.losses.sync_loss import sync_loss
from latentsync_core.training.losses.trepa_loss import load_video_features, trepa_loss
from latentsync_core.training.reconstruction import (
    estimate_clean,
    loss_weights,
    reconstruction_loss,
    sample_timesteps,
    timestep_weights,
)
from latentsync_core.training.syncnet_model import load_syncnet, save_syncnet, stable_syncnet_config
from latentsync_core.training.train_unet import build_unet
from latentsync_core.training.unet_losses import UNetLosses
from latentsync_core.training.unet_windows import Batch
from tests.core.training.small_unet import MODEL, SCHEDULER, half_mask, recipe, some_batch

CPU = torch.device("cpu")
AUDIO_ENCODER = {"block_out_channels": [8, 8, 8, 8, 8, 16, 16], "norm_num_groups": 4}
VIDEOMAE = {
    "image_size": 32,
    "patch_size": 16,
    "num_frames": 4,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "initializer_range": 0.3,
}

pytestmark = pytest.mark.usefixtures("one_torch_thread")


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
    assert timestep_weights(torch.tensor([0.0, 1.2, 1000.0]), "sample").tolist() == pytest.approx([1.0, 1.2, 1.5])


def test_noisy_timesteps_come_more_often():
    timesteps = sample_timesteps(20_000, 1000)
    assert timesteps.min() >= 0
    assert timesteps.max() < 1000
    assert float((timesteps >= 500).float().mean()) == pytest.approx(1 - 0.5 ** (1 / 0.45), abs=0.02)


def test_any_kind_of_prediction_gives_the_clean_latents_and_its_own_error():
    clean, noise, wrong = torch.randn(3, 2, 4, 1, 4, 4, generator=torch.Generator().manual_seed(0)).double()
    scheduler = DDIMScheduler(prediction_type="v_prediction")
    timesteps = torch.tensor([100, 900])
    signal = scheduler.alphas_cumprod.double()[timesteps]
    noisy = scheduler.add_noise(clean, noise, timesteps)
    velocity = scheduler.get_velocity(clean, noise, timesteps)
    for kind, true in (("epsilon", noise), ("v_prediction", velocity), ("sample", clean)):
        scheduler.register_to_config(prediction_type=kind)
        assert torch.allclose(estimate_clean(true, noisy, signal, kind), clean, atol=1e-4), kind
        estimate = estimate_clean(true + wrong, noisy, signal, kind)
        loss = reconstruction_loss(estimate, clean, torch.ones(1, 1, 1, 4, 4), scheduler, timesteps)
        if kind != "sample":
            assert float(loss) == pytest.approx(float(wrong.square().mean()), rel=1e-3), kind
    with pytest.raises(BadOption, match="noise_free"):
        estimate_clean(noise, noisy, signal, "noise_free")


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """Keys of a loss recipe with small networks for windows of 4 frames."""
    folder = tmp_path_factory.mktemp("networks")
    torch.manual_seed(0)
    model = {"visual_encoder": AUDIO_ENCODER, "audio_encoder": AUDIO_ENCODER}
    save_small_syncnet(folder / "syncnet", model, (3, 16, 32), "pixel")
    VideoMAEModel(VideoMAEConfig(**VIDEOMAE)).save_pretrained(folder / "videomae")
    return {
        "syncnet_dir": str(folder / "syncnet"),
        "vgg_path": STAND_IN,
        "videomae_dir": str(folder / "videomae"),
    }


def save_small_syncnet(folder, model, picture, space) -> None:
    network = StableSyncNet(stable_syncnet_config(model, 4, picture))
    save_syncnet(network, folder, {"num_frames": 4, "resolution": picture[2], "space": space})


@pytest.fixture(scope="module")
def vae() -> SpaceToDepthAutoencoder:
    torch.manual_seed(1)
    settings = {"widths": (8, 8, 8), "blocks": (0, 0, 0), "scaling_factor": 0.5, "shift_factor": 0.1}
    return SpaceToDepthAutoencoder(latent_channels=4, **settings).eval().requires_grad_(False)


def windows_with_pictures() -> Batch:
    """Three windows of 4 frames, 4 x 4 latents and 64 x 64 pixels; the second one's sound was dropped."""
    generator = torch.Generator().manual_seed(3)
    target, masked, reference = torch.randn(3, 3, 4, 4, 4, 4, generator=generator)
    audio = torch.randn(3, 4, 10, 8, generator=generator) * torch.tensor([1.0, 0, 1])[:, None, None, None]
    pictures = torch.rand(3, 3, 4, 64, 64, generator=generator) * 2 - 1
    return Batch(target, masked, reference, audio, pictures, torch.randn(3, 1, 80, 13, generator=generator))


@torch.no_grad()
def test_the_total_is_the_weighted_sum_of_what_each_window_says_alone(tmp_path, networks, vae):
    batch, mask = windows_with_pictures(), half_mask()
    settings = recipe(tmp_path, losses={**networks, "simple": 0.7}, frame_stride=1, window_frames=4)
    decoded = load_decoded_losses(settings.losses, 4, CPU)
    scheduler, weights = DDIMScheduler.from_config(SCHEDULER), loss_weights(mask, 4, settings)
    change = 0.3 * torch.randn(batch.target.shape, generator=torch.Generator().manual_seed(4))
    losses = UNetLosses(lambda *_: change, scheduler, mask[..., ::16, ::16], weights, settings, vae, decoded)(batch, 0)
    syncnet, _ = load_syncnet(Path(networks["syncnet_dir"]))
    distance, features = random_vgg_distance(), load_video_features(Path(networks["videomae_dir"]))
    slow = {"sync": [], "lpips_stand_in": [], "trepa": []}
    for window in range(3):
        latents = (change + batch.reference)[window]
        frames = [vae.decode(latents[:, frame][None] / 0.5 + 0.1).sample[0] for frame in range(4)]
        lower = [torch.nn.functional.avg_pool2d(frame[:, 32:], 2) for frame in frames]  # 64 px to SyncNet's 32
        if window != 1:
            vision, audio = syncnet(torch.cat(lower)[None], batch.mel[window][None])
            slow["sync"].append(-math.log(float((vision * audio).sum())))
        for frame in range(4):
            slow["lpips_stand_in"].append(
                float(distance(frames[frame][None, :, 32:], batch.pictures[window, None, :, frame, 32:]))
            )
        pair = (torch.stack(frames, dim=1)[None], batch.pictures[window][None])
        slow["trepa"].append(float(trepa_loss(features, *pair)))
    means = {name: float(np.mean(values)) for name, values in slow.items()}
    for name, mean in means.items():
        assert float(losses[name]) == pytest.approx(mean, rel=1e-4), name
        assert mean > 1e-4
    by_hand = 0.7 * float(losses["reconstruction"]) + 0.05 * means["sync"]
    by_hand += 0.1 * means["lpips_stand_in"] + 10 * means["trepa"]
    assert float(losses["total"]) == pytest.approx(by_hand, rel=1e-4)


def unet_of_stage_2(settings):
    """All layers give gradients on: a fresh network's output layers are zero, which would stop every one."""
    torch.manual_seed(0)
    unet = build_unet(settings)
    with torch.no_grad():
        torch.nn.init.normal_(unet.conv_out.weight, std=0.02)
        for name, parameter in unet.named_parameters():
            if name.endswith("proj_out.weight"):
                torch.nn.init.normal_(parameter, std=0.02)
    return unet


STAGE_2 = {
    "model": {**MODEL, "use_motion_module": True, "motion_module_resolutions": (2,)},
    "trainable": ["motion_modules", "attentions"],
    "frame_stride": 1,
}


def gradients_of(unet, settings, vae, decoded) -> dict[str, torch.Tensor]:
    """By name, of the parameters that have one after a step's losses."""
    mask = half_mask()
    scheduler, weights = DDIMScheduler.from_config(SCHEDULER), loss_weights(mask, 4, settings)
    losses = UNetLosses(unet, scheduler, mask[..., ::16, ::16], weights, settings, vae, decoded)
    torch.manual_seed(2)
    unet.zero_grad()
    losses(windows_with_pictures(), 0)["total"].backward()
    return {name: parameter.grad for name, parameter in unet.named_parameters() if parameter.grad is not None}


def test_each_loss_moves_exactly_the_trainable_parameters(tmp_path, networks, vae):
    settings = recipe(tmp_path, **STAGE_2, losses=networks)
    unet = unet_of_stage_2(settings)
    wanted = {name for name, _ in unet.named_parameters() if "motion_modules" in name or "attentions" in name}
    decoded = load_decoded_losses(settings.losses, 4, CPU)
    alone = gradients_of(unet, settings, vae, {})
    assert alone.keys() == wanted
    for name, loss in decoded.items():
        with_it = gradients_of(unet, settings, vae, {name: loss})
        assert with_it.keys() == wanted, name
        change = sum(float((with_it[key] - alone[key]).norm()) for key in wanted)
        assert change > 1e-4 * sum(float(alone[key].norm()) for key in wanted), name
    assert all(parameter.grad is None for parameter in vae.parameters())


def test_checkpointing_changes_no_gradient(tmp_path, networks, vae):
    losses = {**networks, "lpips": 0}  # its VGG takes its time
    gradients = []
    for checkpointing in (False, True):
        settings = recipe(tmp_path, **STAGE_2, losses=losses, precision="fp32", gradient_checkpointing=checkpointing)
        unet = unet_of_stage_2(settings)
        assert all(block.gradient_checkpointing == checkpointing for block in unet.up_blocks)
        gradients.append(gradients_of(unet, settings, vae, load_decoded_losses(settings.losses, 4, CPU)))
    for name, gradient in gradients[0].items():
        assert torch.allclose(gradient, gradients[1][name], rtol=1e-4, atol=1e-6), name


@pytest.mark.parametrize(
    ("precision", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float16), ("fp32", torch.float32)]
)
def test_the_network_computes_in_the_precision_and_losses_in_float32(tmp_path, precision, dtype):
    settings, mask = recipe(tmp_path, precision=precision), half_mask()
    layer, seen = torch.nn.Linear(8, 8), []

    def network(sample, timesteps, audio):
        seen.append(layer(sample).dtype)
        return layer(sample)[:, :4]

    weights = loss_weights(mask, 8, settings)
    losses = UNetLosses(network, DDIMScheduler.from_config(SCHEDULER), mask[..., ::8, ::8], weights, settings)
    assert losses(some_batch(), 0)["total"].dtype == torch.float32
    assert seen == [dtype]
    with pytest.raises(BadOption, match="precision must be one of bf16, fp16, fp32"):
        recipe(tmp_path, precision="fp8")


@torch.no_grad()
def test_a_syncnet_of_latents_judges_the_estimate_itself(tmp_path):
    torch.manual_seed(0)
    visual_encoder = {"block_out_channels": [16, 16], "norm_num_groups": 4}
    model = {"visual_encoder": visual_encoder, "audio_encoder": AUDIO_ENCODER}
    save_small_syncnet(tmp_path, model, (4, 2, 4), "latent")
    losses = LossRecipe(lpips=0, trepa=0, syncnet_dir=str(tmp_path))
    batch = windows_with_pictures()
    estimate = Estimate(batch.target, batch.pictures, batch.mel, torch.tensor([True, True, True]), vae=None)
    (loss,) = load_decoded_losses(losses, 4, CPU).values()
    syncnet, _ = load_syncnet(tmp_path)
    assert float(loss(estimate)) == pytest.approx(float(sync_loss(syncnet, batch.target, batch.mel, 4)))
    assert float(loss(replace(estimate, hears=torch.tensor([False] * 3)))) == 0


@pytest.mark.parametrize(
    ("losses", "named"),
    [
        ({}, r"losses\.sync is 0\.05, but losses\.syncnet_dir is missing"),
        ({"sync": 0}, r"losses\.lpips is 0\.1, but losses\.vgg_path is missing"),
        ({"sync": 0, "lpips": 0}, r"losses\.trepa is 10, but losses\.videomae_dir is missing"),
        ({"sync": -1}, r"losses\.sync must not be negative"),
    ],
)
def test_a_loss_without_its_weights_is_refused_by_name(tmp_path, losses, named):
    with pytest.raises(BadOption, match=named):
        recipe(tmp_path, losses=losses)


def test_losses_that_do_not_fit_the_windows_are_refused(tmp_path, networks):
    with pytest.raises(BadOption, match=r"losses\.sync needs consecutive frames: frame_stride 1, not 3"):
        recipe(tmp_path, losses=networks)
    only = {"sync": {"lpips": 0, "trepa": 0}, "trepa": {"sync": 0, "lpips": 0}}
    for name, others in only.items():
        with pytest.raises(BadOption, match=rf"losses\.{name}: its network takes 4 frames, window_frames is 16"):
            load_decoded_losses(LossRecipe(**networks, **others), 16, CPU)
    with pytest.raises(BadCheckpoint, match="nowhere"):
        load_decoded_losses(LossRecipe(lpips=0, trepa=0, syncnet_dir=str(tmp_path / "nowhere")), 4, CPU)


def test_the_change_of_the_reference_is_for_networks_that_predict_clean_latents(tmp_path):
    with pytest.raises(BadOption, match="residual_reference"):
        recipe(tmp_path, scheduler={"prediction_type": "epsilon"})
    recipe(tmp_path, scheduler={"prediction_type": "epsilon"}, residual_reference=False)
