"""A U-Net's validation: held-out people, the same windows and noise in every run, and nothing that disturbs the run."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from latentsync_core.errors import BadOption
from latentsync_core.media.frame_grid import read_frame_grid
from latentsync_core.media.probe import probe_media
from latentsync_core.media.video_reader import VideoReader
from latentsync_core.training.held_out_clips import HeldOutClip, choose_windows
from latentsync_core.training.recipe import read_recipe
from latentsync_core.training.runs import read_curve, read_run
from latentsync_core.training.sync_judges import load_judges
from latentsync_core.training.syncnet_model import save_syncnet
from latentsync_core.training.syncnet_recipe import SyncNetRecipe, build_syncnet
from latentsync_core.training.train_unet import train_unet
from latentsync_core.training.trainer import Trainer
from latentsync_core.training.unet_recipe import UNetRecipe
from tests.core.training.small_unet_run import write_recipe

ENCODER = {"block_out_channels": [8, 16, 16], "norm_num_groups": 4}
VALIDATION = {"steps": 2, "windows": 5, "sample_clips": 1, "sample_seconds": 0.2, "denoising_steps": 2}

pytestmark = [pytest.mark.usefixtures("one_torch_thread"), pytest.mark.timeout(240)]


def save_small_syncnet(folder: Path, frames: int = 4) -> Path:
    """A SyncNet with random weights that looks at faces of 32 px."""
    model = {
        "visual_encoder": {**ENCODER, "downsample_factors": [[2, 4], [4, 4], [2, 2]]},
        "audio_encoder": {**ENCODER, "downsample_factors": [[4, 2], [4, 2], [5, 3]]},
    }
    recipe = SyncNetRecipe(folder, folder, folder, model=model, num_frames=frames, resolution=32)
    torch.manual_seed(5)
    save_syncnet(build_syncnet(recipe, (3, 16, 32)), folder, {"num_frames": frames, "resolution": 32, "space": "pixel"})
    return folder


def clips_of(lengths: list[int]) -> list[HeldOutClip]:
    return [HeldOutClip(None, torch.zeros(length, 1, 1), torch.zeros(80, 1)) for length in lengths]


def test_windows_are_spread_over_clips_and_over_each_clip():
    short, long = clips = clips_of([16, 100])
    windows = choose_windows(clips, 16, 6)
    assert [clip is long for clip, _ in windows] == [False, True] * 3
    assert [start for _, start in windows] == [0, 0, 0, 42, 0, 84]
    assert choose_windows(clips, 16, 1) == [(short, 0)]


def test_a_run_leaves_measures_and_samples_of_people_it_does_not_learn_from(tmp_path):
    judge = str(save_small_syncnet(tmp_path / "judge"))
    losses = {"sync": 0.05, "lpips": 0, "trepa": 0, "syncnet_dir": judge}
    validation = {**VALIDATION, "generated": 2, "judges": {"other": judge}}
    path = write_recipe(tmp_path, ("cyd", "dan"), steps=3, losses=losses, validation=validation)
    train_unet(read_recipe(path, UNetRecipe))
    rows = read_curve(tmp_path / "run" / "validation.csv")
    assert [row["step"] for row in rows] == [2, 3]  # every second one, and the last one
    names = {"hole_error", "sync", "movement_error", "judge_other", "judge_other_real"}
    assert all(row.keys() == {"step", "seconds", *names} for row in rows)
    assert all(np.isfinite(list(row.values())).all() for row in rows)
    assert rows[0]["judge_other_real"] == rows[1]["judge_other_real"]
    samples = [sample.name for sample in read_run(tmp_path / "run", "run").samples]
    assert samples == ["step_00000003_cyd-0.mp4", "step_00000002_cyd-0.mp4"]
    assert sorted(tmp_path.glob("run/tensorboard/*"))


def test_the_kept_part_of_a_sample_is_the_source_and_the_sound_is_there(tmp_path):
    path = write_recipe(tmp_path, ("cyd",), steps=1, validation=VALIDATION)
    train_unet(read_recipe(path, UNetRecipe))
    info = probe_media(tmp_path / "run" / "samples" / "step_00000001_cyd-0.mp4")
    video = info.require_video()
    assert (video.codec, video.width, video.height) == ("h264", 256, 512)
    assert info.require_audio().codec == "aac"
    grid = read_frame_grid(info)
    with VideoReader(info, grid) as reader:
        frames = np.stack(list(reader.read(0, grid.num_frames))).astype(int)
    assert len(frames) == 4  # of 5, one whole window
    source = np.load(tmp_path / "faces" / "cyd-0" / "crops.npy")[:4].astype(int)
    assert abs(frames[:, :256] - source).mean() < 4
    assert abs(frames[:, 256:330] - source[:, :74]).mean() < 4  # the forehead
    assert abs(frames[:, 256 + 150 : 256 + 200, 80:180] - source[:, 150:200, 80:180]).mean() > 10  # an untrained mouth


def test_nothing_of_a_run_depends_on_being_validated(tmp_path):
    path = write_recipe(tmp_path, ("cyd",), steps=3, validation=VALIDATION, adversarial_weight=1.0)
    weights = []
    for name, steps in (("watched", 1), ("unwatched", 0)):
        run = tmp_path / name
        train_unet(read_recipe(path, UNetRecipe, [f"run_dir={run}", f"validation.steps={steps}"]))
        weights.append(torch.load(run / "unet.pt", weights_only=True))
        assert (run / "validation.csv").exists() == (name == "watched")
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_measures_depend_on_the_weights_and_not_on_batch_size_or_seed(tmp_path):
    path = write_recipe(tmp_path, ("cyd",), steps=1, learning_rate=0, validation=VALIDATION)
    first = {}
    for name, changes in (("a", []), ("b", ["batch_size=3"]), ("c", ["seed=2"])):
        weights = [f"init_from={tmp_path / 'a' / 'unet.pt'}"] if name in "bc" else []
        settings = read_recipe(path, UNetRecipe, [f"run_dir={tmp_path / name}", *changes, *weights])
        train_unet(settings)
        first[name] = read_curve(tmp_path / name / "validation.csv")[0]["hole_error"]
    assert first["a"] == first["b"] == first["c"]
    moved = torch.load(tmp_path / "a" / "unet.pt", weights_only=True)
    nn.init.normal_(moved["conv_out.weight"], std=0.1)
    torch.save(moved, tmp_path / "moved.pt")
    settings = read_recipe(path, UNetRecipe, [f"run_dir={tmp_path / 'e'}", f"init_from={tmp_path / 'moved.pt'}"])
    train_unet(settings)
    assert read_curve(tmp_path / "e" / "validation.csv")[0]["hole_error"] != first["a"]


def test_a_network_that_answers_with_the_reference_errs_by_the_holes_distance_to_it(tmp_path):
    path = write_recipe(tmp_path, ("cyd",), steps=1, learning_rate=0, validation={**VALIDATION, "windows": 1})
    train_unet(read_recipe(path, UNetRecipe))  # a fresh network's last layer is zero: no change of the reference
    (cache,) = (tmp_path / "cache").glob("cyd-0.0.*.npz")
    with np.load(cache) as arrays:
        error = (arrays["references"][:4].astype(np.float64) - arrays["latents"][:4]) ** 2
    hole = 1 - _mask().reshape(16, 16, 16, 16).mean(axis=(1, 3))
    expected = (error.mean(axis=(0, 1)) * hole).sum() / hole.sum()
    found = read_curve(tmp_path / "run" / "validation.csv")[0]["hole_error"]
    assert found == pytest.approx(expected, abs=2e-5)


def test_a_signal_cuts_a_validation_short_and_the_resumed_run_makes_up_for_it(tmp_path, monkeypatch):
    path = write_recipe(tmp_path, ("cyd",), steps=3, validation=VALIDATION)
    stopping = property(lambda self: self.step == 2)
    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "is_stopping", stopping)
        train_unet(read_recipe(path, UNetRecipe, ["checkpoint_steps=2", "steps=2"]))
        assert not (tmp_path / "run" / "validation.csv").exists()
    train_unet(read_recipe(path, UNetRecipe), resume=True)
    assert [row["step"] for row in read_curve(tmp_path / "run" / "validation.csv")] == [2, 3]


def test_people_in_both_splits_and_judges_of_longer_windows_are_refused(tmp_path):
    path = write_recipe(tmp_path, ("cyd",), steps=1, validation=VALIDATION)
    meta = tmp_path / "faces" / "cyd-0" / "meta.json"
    meta.write_text(meta.read_text().replace("cyd", "ann"))
    with pytest.raises(BadOption, match="split by person, please; in both splits are ann"):
        train_unet(read_recipe(path, UNetRecipe))
    folder = str(save_small_syncnet(tmp_path / "judge"))
    with pytest.raises(BadOption, match=r"judges\.other takes 4 frames, window_frames is 3"):
        load_judges({"other": folder}, 3, torch.device("cpu"))
    changed = yaml.safe_load(path.read_text())
    changed["validation"]["judges"] = {"other": folder}
    path.write_text(yaml.safe_dump(changed))
    with pytest.raises(BadOption, match=r"validation\.judges look at generated windows"):
        read_recipe(path, UNetRecipe)


def _mask() -> np.ndarray:
    from latentsync_core.face.mask import load_mask
    from tests.conftest import REPOSITORY

    return load_mask(REPOSITORY / "models" / "mini" / "mask.png", 256)[0, 0]
