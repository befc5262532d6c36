"""SyncNet's training: it learns what can be learnt, says when it does not, and survives a kill bit for bit."""

import csv
import json
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import nn

from latentsync_core.audio.speech_embedding import SpeechEmbedding
from latentsync_core.errors import BadOption
from latentsync_core.models.autoencoder import SpaceToDepthAutoencoder
from latentsync_core.training.curves import TensorBoard
from latentsync_core.training.recipe import read_recipe
from latentsync_core.training.stuck_alarm import likely_causes, stuck_since
from latentsync_core.training.syncnet_model import load_syncnet
from latentsync_core.training.syncnet_recipe import SyncNetRecipe
from latentsync_core.training.train_syncnet import SyncNetLosses, SyncNetRun, open_windows, train_syncnet
from latentsync_core.training.trainer import Trainer
from tests.core.training.killed_run import run_unbroken_and_killed
from tests.core.training.talking_clips import save_talking_clips

PEOPLE = {"ann": "train", "ben": "train", "cyd": "train", "dan": "train", "eve": "val", "fay": "val"}
MODEL = {
    "visual_encoder": {
        "block_out_channels": [8, 16, 32],
        "downsample_factors": [[2, 4], [4, 4], [2, 2]],
        "norm_num_groups": 4,
    },
    "audio_encoder": {
        "block_out_channels": [8, 16, 32],
        "downsample_factors": [[4, 4], [4, 2], [5, 2]],
        "norm_num_groups": 4,
    },
}


pytestmark = pytest.mark.usefixtures("one_torch_thread")


def write_recipe(folder: Path, **changes) -> Path:
    save_talking_clips(folder / "faces", PEOPLE)
    values = {
        "data_dir": str(folder / "faces"),
        "run_dir": str(folder / "run"),
        "cache_dir": str(folder / "cache"),
        "model": MODEL,
        "num_frames": 5,
        "resolution": 32,
        "steps": 30,
        "batch_size": 8,
        "learning_rate": 2e-3,
        "warmup_steps": 10,
        "min_negative_shift": 5,
        "log_every": 5,
        "validate_every": 10,
        "validation_items": 64,
        "checkpoint_minutes": 1e9,
        **changes,
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def rows(path: Path) -> list[dict[str, float]]:
    with path.open() as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def test_it_learns_to_tell_the_sound_of_people_it_has_never_seen(tmp_path):
    path = write_recipe(tmp_path, steps=180, batch_size=16, learning_rate=3e-3, validate_every=90, validation_items=128)
    train_syncnet(read_recipe(path, SyncNetRecipe))
    run = tmp_path / "run"
    points = rows(run / "validation.csv")
    assert [point["step"] for point in points] == [90, 180]
    assert points[-1]["accuracy"] > 0.65
    assert points[-1]["total"] < 0.62
    assert (run / "curves.png").stat().st_size > 10_000
    assert list((run / "tensorboard").glob("events.out.tfevents.*"))
    assert not (run / "alarm.txt").exists()
    assert read_recipe(run / "recipe.yaml", SyncNetRecipe) == read_recipe(path, SyncNetRecipe)
    network, config = load_syncnet(run / "best")
    assert (config["num_frames"], config["resolution"], config["space"]) == (5, 32, "pixel")
    vision, audio = network(torch.zeros(1, 15, 16, 32), torch.zeros(1, 1, 80, 16))
    assert vision.shape == audio.shape == (1, 32)
    assert {tensor.dtype for tensor in network.state_dict().values()} == {torch.float32}  # though computed in bfloat16


def test_it_learns_from_all_comparisons_of_a_clip_as_well(tmp_path):
    path = write_recipe(
        tmp_path, steps=90, batch_size=16, learning_rate=3e-3, validate_every=90, validation_items=128,
        windows_per_clip=4, contrast_weight=1,
    )  # fmt: skip
    train_syncnet(read_recipe(path, SyncNetRecipe))
    held_out, training = (rows(tmp_path / "run" / f"{name}.csv")[-1] for name in ("validation", "losses"))
    assert held_out["accuracy"] > 0.65
    assert training["minimised"] == pytest.approx(training["total"] + training["contrast"], rel=1e-3)


def test_what_reads_the_mouth_is_learnt_with_the_network_and_not_saved(tmp_path):
    path = write_recipe(tmp_path, steps=10, windows_per_clip=4, lip_reading_weight=0.5)
    train_syncnet(read_recipe(path, SyncNetRecipe))
    last = rows(tmp_path / "run" / "losses.csv")[-1]
    missing = last["mouth_seen"] + last["mouth_heard"]
    assert last["minimised"] == pytest.approx(last["total"] + 0.5 * missing, rel=1e-3)
    network, _ = load_syncnet(tmp_path / "run" / "best")  # strictly: nothing but the two encoders
    assert not any("readers" in name for name in network.state_dict())


def test_what_knows_speech_stays_as_it_is_and_is_saved_with_the_network(tmp_path):
    torch.manual_seed(3)
    known = {name: value.clone() for name, value in SpeechEmbedding().state_dict().items()}
    save_file(known, tmp_path / "speech.safetensors")
    path = write_recipe(
        tmp_path, steps=10, num_frames=16, windows_per_clip=2, ema_decay=0.5, log_every=1, batch_size=16,
        speech_embedding=str(tmp_path / "speech.safetensors"), min_negative_shift=2,
        model={**MODEL, "audio_encoder": {"block_out_channels": [8] * 6 + [32], "norm_num_groups": 4},
               "visual_encoder": {"block_out_channels": [8] * 5 + [32], "norm_num_groups": 4}},
    )  # fmt: skip
    train_syncnet(read_recipe(path, SyncNetRecipe))
    network, config = load_syncnet(tmp_path / "run" / "syncnet")
    assert config["audio_encoder"]["speech_embedding"]
    speech = network.audio_encoder.speech
    assert all(torch.equal(speech.embedding.state_dict()[name], value) for name, value in known.items())
    assert speech.norm_in.num_batches_tracked == 10
    mel = torch.rand(2, 1, 80, 52) * 4
    vector = network.audio_encoder(mel)
    with torch.no_grad():
        speech.layers[-1].weight.zero_()
    assert not torch.allclose(network.audio_encoder(mel), vector)


@pytest.mark.timeout(200)
def test_a_killed_run_ends_bit_for_bit_where_an_unbroken_one_does(tmp_path):
    path = write_recipe(
        tmp_path, steps=30, batch_size=4, ema_decay=0.9, batches_per_step=2, validation_items=8,
        windows_per_clip=2, lip_reading_weight=1,
    )  # fmt: skip
    runs = run_unbroken_and_killed("train-syncnet", path, steps=30, checkpoint_steps=4, killed_in_step=14)
    weights = [load_file(run / "syncnet" / "model.safetensors") for run in runs]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    curves = [
        [(row["step"], row["total"], row["accuracy"]) for row in rows(run / curve)]
        for run in runs
        for curve in ("losses.csv", "validation.csv")
    ]
    assert curves[:2] == curves[2:]


def test_it_trains_on_latents_of_a_given_autoencoder(tmp_path):
    torch.manual_seed(0)
    vae = SpaceToDepthAutoencoder(latent_channels=4, widths=(8, 8, 8), blocks=(0, 0, 0), scaling_factor=0.5)
    vae.save_pretrained(tmp_path / "vae")
    model = {**MODEL, "visual_encoder": {"block_out_channels": [16, 32], "norm_num_groups": 4}}
    path = write_recipe(tmp_path, space="latent", vae_dir=str(tmp_path / "vae"), model=model, steps=2, log_every=1)
    train_syncnet(read_recipe(path, SyncNetRecipe))
    network, config = load_syncnet(tmp_path / "run" / "syncnet")
    assert config["space"] == "latent"
    assert config["visual_encoder"]["in_channels"] == 5 * 4
    vision, _ = network(torch.zeros(1, 20, 1, 2), torch.zeros(1, 1, 80, 16))
    assert vision.shape == (1, 32)


def test_loading_processes_change_nothing(tmp_path):
    recipe = read_recipe(write_recipe(tmp_path, augment=True), SyncNetRecipe)
    windows, _ = open_windows(recipe, torch.device("cpu"))
    batches = [
        list(islice(SyncNetLosses(replace(recipe, num_workers=workers), torch.device("cpu")).batches(windows, 3), 4))
        for workers in (0, 2)
    ]
    for alone, helped in zip(*batches, strict=True):
        assert all(torch.equal(*pair) for pair in zip(alone, helped, strict=True))


def test_a_folder_that_holds_a_run_is_not_overwritten(tmp_path):
    recipe = read_recipe(write_recipe(tmp_path, steps=2), SyncNetRecipe)
    train_syncnet(recipe)
    with pytest.raises(BadOption, match="--resume latest"):
        train_syncnet(recipe)


def test_a_person_in_both_splits_is_refused(tmp_path):
    path = write_recipe(tmp_path)
    meta = tmp_path / "faces" / "eve-0" / "meta.json"
    meta.write_text(meta.read_text().replace('"eve"', '"ann"'))
    with pytest.raises(BadOption, match="in both splits are ann"):
        train_syncnet(read_recipe(path, SyncNetRecipe))


def test_the_alarm_is_raised_with_its_causes_and_lifted_when_the_loss_moves(tmp_path, caplog):
    recipe = read_recipe(write_recipe(tmp_path, stuck_after=100), SyncNetRecipe)
    recipe.run_dir.mkdir()
    trainer = Trainer(nn.Linear(1, 1), recipe.run_dir, recipe.schedule())
    run = SyncNetRun(recipe, trainer, TensorBoard(tmp_path / "board"), {"embedding_dim": 32, "people": 4})
    alarm = recipe.run_dir / "alarm.txt"
    for step, loss, is_stuck in ((50, 0.80, False), (100, 0.69, False), (200, 0.695, True), (250, 0.66, False)):
        trainer.step = step
        trainer.curve.add(step, 1.0, {"total": loss})
        run.note_validation({"total": 0.7, "accuracy": 0.5})
        assert alarm.exists() == is_stuck, step
    assert "since step 100" in caplog.text
    assert "8 windows a step" in caplog.text


def test_the_best_weights_are_those_of_the_lowest_validation_loss(tmp_path):
    recipe = read_recipe(write_recipe(tmp_path), SyncNetRecipe)
    recipe.run_dir.mkdir()
    trainer = Trainer(nn.Linear(1, 1), recipe.run_dir, recipe.schedule())
    run = SyncNetRun(recipe, trainer, TensorBoard(tmp_path / "board"), {"embedding_dim": 32, "people": 4})
    for step, loss in ((10, 0.6), (20, 0.400004), (30, 0.5)):
        trainer.step = step
        run.note_validation({"total": loss, "accuracy": 0.5})
    assert json.loads((recipe.run_dir / "best" / "config.json").read_text())["step"] == 20


def test_being_stuck_is_staying_at_the_loss_of_chance():
    learning = [(50, 0.9), (100, 0.694), (150, 0.692), (200, 0.61)]
    assert stuck_since(learning) is None
    assert stuck_since(learning[:3]) == 100
    assert stuck_since([]) is None


def test_the_causes_name_what_departs_from_the_papers_best():
    facts = {"embedding_dim": 2048, "learning_rate": 1e-5, "min_shift": 5, "people": 900}
    small = " ".join(likely_causes(batch_size=128, num_frames=25, **facts))
    assert "128 windows a step" in small
    assert "25 frames" in small
    assert "2048" not in small.split("the learning rate")[0].split("the faces")[1]
    best = " ".join(likely_causes(batch_size=1024, num_frames=16, **facts))
    assert "windows a step" not in best
    assert "offset between sound and lips" in best
