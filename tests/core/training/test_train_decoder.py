"""The decoder's trainer: what it learns from, what it leaves alone, and that a killed run ends where another does."""

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from latentsync_core.bundle import load_bundle
from latentsync_core.cli import main
from latentsync_core.training.autoencoders import load_autoencoder
from latentsync_core.training.face_clips import read_face_clips
from latentsync_core.training.generated_faces import cache_generated, hear_true_shape
from latentsync_core.training.lip_shape import fit_lip_shape
from latentsync_core.training.losses.face_features import FaceFeatures, save_face_features
from latentsync_core.training.picture_discriminator import PictureAdversary, PictureDiscriminator
from latentsync_core.training.train_decoder import DecoderLosses, DecoderRecipe, Frames, FrameSampler
from tests.core.training.killed_run import run_unbroken_and_killed
from tests.core.training.small_clips import save_small_clips
from tests.tiny_bundle import RESOLUTION, write_tiny_bundle

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture
def parts(tmp_path):
    save_small_clips(tmp_path / "faces", {"ann": 1, "ben": 1}, frames=20, side=RESOLUTION)
    write_tiny_bundle(tmp_path / "bundle")
    torch.manual_seed(0)
    save_face_features(FaceFeatures((8, 8)), tmp_path / "features")
    return tmp_path


@pytest.fixture
def recipe(parts):
    values = {
        "data_dir": str(parts / "faces"),
        "run_dir": "set by the test",
        "cache_dir": str(parts / "cache"),
        "bundle_dir": str(parts / "bundle"),
        "features_dir": str(parts / "features"),
        "variants": 1,
        "steps": 7,
        "max_minutes": float("inf"),
        "batch_size": 2,
        "warmup_steps": 1,
        "adversarial_start": 2,
        "validate_every": 0,
        "checkpoint_minutes": 1e9,
    }
    path = parts / "recipe.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.mark.timeout(200)
def test_a_killed_run_ends_bit_for_bit_where_an_unbroken_one_does_and_only_the_decoder_moves(parts, recipe):
    runs = run_unbroken_and_killed("train-decoder", recipe, steps=7, checkpoint_steps=3, killed_in_step=4)
    first, second = (load_file(run / "vae" / "diffusion_pytorch_model.safetensors") for run in runs)
    before = load_file(parts / "bundle" / "vae" / "model.safetensors")
    assert all(torch.equal(first[key], second[key]) for key in before)
    moved = {key.split(".")[0] for key in before if not torch.equal(first[key], before[key].float())}
    assert moved == {"decoder"}


def test_a_validation_measures_held_out_people_and_leaves_a_sheet(parts, recipe):
    save_small_clips(parts / "faces", {"cleo": 1}, frames=20, side=RESOLUTION)
    meta = parts / "faces" / "cleo-0" / "meta.json"
    meta.write_text(meta.read_text().replace('"train"', '"val"'))
    run = parts / "run"
    changed = [f"run_dir={run}", "steps=2", "validate_every=2"]
    assert main(["train-decoder", str(recipe), *(each for key in changed for each in ("--set", key))]) == 0
    header, row = (run / "validation.csv").read_text().splitlines()
    assert header == "step,seconds,psnr,features,sharpness"
    assert row.startswith("2,")
    assert (run / "samples" / "step_00000002.png").stat().st_size > 0


def test_a_frame_is_its_picture_beside_both_latents_of_it(parts):
    clips = read_face_clips(parts / "faces", "train")
    bundle = load_bundle(parts / "bundle", "cpu")
    windows = cache_generated(clips, parts / "cache", bundle, fit_lip_shape([c.mesh for c in clips]), 2)
    assert [window.variant for window in windows] == [0, 1, 0, 1]
    picture, own, generated = FrameSampler(windows, np.ones(4) / 4, 0, 16).frame(0, 3)
    assert picture.shape == (3, RESOLUTION - 16, RESOLUTION)  # the uppermost row of latents is left out
    assert own.shape == generated.shape == (4, 3, 4)
    assert not torch.equal(own, generated)
    again = bundle.vae.encode(torch.from_numpy(windows[0].pictures(np.array([3]))).permute(0, 3, 1, 2) / 127.5 - 1)
    assert torch.allclose(again.latent_dist.mean[0, :, 1:] * 0.1, own, atol=2e-3)


def test_the_true_shape_stands_where_the_encoder_tells_its_own(parts):
    clip = read_face_clips(parts / "faces", "train")[0]
    encoder = load_bundle(parts / "bundle", "cpu").audio_encoder
    basis = fit_lip_shape([clip.mesh])
    states = hear_true_shape(clip, encoder, basis)
    shape = torch.from_numpy(basis.project(clip.mesh))
    assert states.shape == (40, 1, 24)
    assert torch.allclose(states[6, 0, -8:], 8 * shape[3])  # 50 states a second, 25 frames
    assert torch.equal(states[6], states[7]) is False  # what else is heard goes on between frames


def test_the_losses_bear_the_same_names_before_and_after_the_discriminator_counts(parts):
    vae = load_autoencoder(parts / "bundle" / "vae", torch.device("cpu"))
    settings = DecoderRecipe(parts, parts, parts, parts / "bundle", parts / "features", adversarial_start=1)
    losses = DecoderLosses(vae, settings, torch.device("cpu"))
    latents = torch.randn(2, 4, 3, 4)
    frames = Frames(torch.rand(2, 3, 48, 64) * 2 - 1, latents, latents + 0.1)
    vae.decoder.requires_grad_(True)
    before, after = losses(frames, 0), losses(frames, 1)
    assert list(before) == list(after)
    assert before["minimised"] == before["total"] == after["total"]
    assert after["fooling"] != 0 != after["minimised"] - after["total"]
    assert all(value.isfinite() for value in after.values())


def test_a_discriminator_learns_to_tell_sharp_from_blurred():
    torch.manual_seed(0)
    sharp = torch.randn(8, 3, 32, 32).sign()
    blurred = torch.nn.functional.avg_pool2d(sharp, 3, 1, 1)
    adversary = PictureAdversary(PictureDiscriminator(16), 2e-3)
    first = adversary.learn(sharp, blurred)
    for _ in range(30):
        last = adversary.learn(sharp, blurred)
    assert last < 0.7 * first
    assert adversary.fooling_loss(sharp) < adversary.fooling_loss(blurred)
