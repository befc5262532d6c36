"""Studies: each variant is trained once, resumed if it was begun, and compared with the others."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from latentsync_core.cli import main
from latentsync_core.errors import BadOption
from latentsync_core.training.ablate import ablate, table
from latentsync_core.training.autoencoders import load_autoencoder
from latentsync_core.training.decoded_losses import STAND_IN, LossRecipe
from latentsync_core.training.run_state import RunMark, RunState, read_state
from latentsync_core.training.runs import read_curve, read_run
from latentsync_core.training.study import build_variants, read_study
from latentsync_core.training.syncnet_recipe import build_syncnet
from latentsync_core.training.train_unet import build_unet, refuse_misfit
from tests.conftest import REPOSITORY
from tests.core.training.small_unet_run import write_recipe
from tests.core.training.talking_clips import save_talking_clips

PEOPLE = {"ann": "train", "ben": "train", "cyd": "val"}
ENCODER = {"block_out_channels": [8, 16, 16], "norm_num_groups": 4}
MODEL = {
    "visual_encoder": {**ENCODER, "downsample_factors": [[2, 4], [4, 4], [2, 2]]},
    "audio_encoder": {**ENCODER, "downsample_factors": [[4, 4], [4, 2], [5, 2]]},
}
STUDIES = REPOSITORY / "latentsync_core" / "training" / "studies"
SYNCNET_STUDIES, UNET_STUDIES = (sorted(STUDIES.glob(f"{name}_*.yaml")) for name in ("syncnet", "unet"))

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def write_study(folder: Path, **changes) -> Path:
    """Two batch sizes of a tiny SyncNet, 4 steps each."""
    save_talking_clips(folder / "faces", PEOPLE)
    base = {
        "data_dir": str(folder / "faces"), "run_dir": "unused", "cache_dir": str(folder / "cache"), "model": MODEL,
        "num_frames": 5, "resolution": 32, "steps": 4, "batch_size": 2, "learning_rate": 1e-3, "warmup_steps": 1,
        "min_negative_shift": 5, "log_every": 2, "validate_every": 2, "validation_items": 4, "checkpoint_minutes": 1e9,
    }  # fmt: skip
    (folder / "base.yaml").write_text(yaml.safe_dump(base))
    study = {
        "title": "Batch size", "trainer": "train-syncnet", "base": "base.yaml", "source": "figure 8",
        "finding": "Larger is better.", "variants": {"two": {}, "four": {"batches_per_step": 2}}, **changes,
    }  # fmt: skip
    (folder / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    return folder / "study.yaml"


def steps_of(run: Path) -> list[float]:
    return [row["step"] for row in read_curve(run / "validation.csv")]


def test_a_study_trains_every_variant_and_compares_them(tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["ablate", str(write_study(tmp_path)), str(out), "--set", "steps=6"]) == 0
    assert "two: training\nfour: training\n" in capsys.readouterr().out
    for name, batches in (("two", 1), ("four", 2)):
        run = read_run(out / name, name)
        assert (run.state, run.steps, run.recipe["batches_per_step"]) == (RunState.FINISHED, 6, batches)
        assert steps_of(out / name) == [2, 4, 6]
    assert (out / "study.png").read_bytes().startswith(b"\x89PNG")
    text = (out / "study.md").read_text()
    assert "The paper (figure 8): Larger is better." in text
    assert (
        "| variant | state | steps | minutes | held-out loss, end | held-out accuracy, end | held-out loss, best |"
        in text
    )
    last = read_curve(out / "four" / "validation.csv")[-1]
    assert f"| four | finished | 6 | 0.0 | {last['total']:.4f} | {last['accuracy']:.4f} |" in text


def test_a_finished_variant_is_left_alone_and_a_started_one_goes_on(tmp_path):
    study, out, told = write_study(tmp_path), tmp_path / "out", []
    ablate(study, out, only=["two"])
    weights = out / "two" / "syncnet" / "model.safetensors"
    written = weights.stat().st_mtime_ns
    ablate(study, out, only=["four"])
    before = read_curve(out / "four" / "losses.csv")
    with pytest.raises(KeyboardInterrupt), RunMark(out / "four"):  # as if it had been stopped after its last step
        raise KeyboardInterrupt
    ablate(study, out, on_variant=lambda name, what: told.append((name, what)))
    assert told == [("two", "finished before"), ("four", "training")]
    assert weights.stat().st_mtime_ns == written
    assert read_curve(out / "four" / "losses.csv") == before  # from its checkpoint at the last step: nothing is redone
    assert read_state(out / "four") == (RunState.FINISHED, "")


def test_the_best_row_is_that_of_the_lowest_loss(tmp_path):
    study = read_study(write_study(tmp_path))
    run = tmp_path / "run"
    run.mkdir()
    (run / "validation.csv").write_text("step,seconds,total,accuracy\n1,60,0.7,0.5\n2,120,0.4,0.8\n3,180,0.5,0.9\n")
    lines = table(study, [read_run(run, "two"), read_run(tmp_path / "none", "four")]).splitlines()
    assert lines[6].endswith("| 3 | 3.0 | 0.5000 | 0.9000 | 0.4000 | 0.8000 |")
    assert lines[7] == "| four | not trained | 0 | 0.0 | – | – | – | – |"


def test_other_settings_do_not_mix_with_an_earlier_run(tmp_path):
    study = write_study(tmp_path)
    ablate(study, tmp_path / "out", only=["two"])
    with pytest.raises(BadOption, match=r"variant 'two' was begun with other settings: steps was 4, is 8"):
        ablate(study, tmp_path / "out", ["steps=8"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"variants": {"two": {}, "bad": {"batch_sise": 3}}}, "variant 'bad': .*unknown key.*batch_sise"),
        ({"variants": {"two": {}, "bad": {"data_dir": "/nowhere"}}}, "variant 'bad': /nowhere holds no prepared clips"),
        ({"variants": {"../up": {}}}, "names of letters"),
        ({"variants": {"two": {"num_frames": "many"}}}, "variant 'two'.*num_frames must be a int"),
        ({"trainer": "train-me"}, "trainer 'train-me' is not one of"),
        ({"base": "gone.yaml"}, "base .*gone.yaml does not exist"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_trained(tmp_path, changes, message):
    with pytest.raises(BadOption, match=message):
        ablate(write_study(tmp_path, **changes), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_variant_that_cannot_be_trained_is_named(tmp_path):
    study = write_study(tmp_path, variants={"huge": {"num_frames": 50}})
    with pytest.raises(BadOption, match="variant 'huge': "):
        ablate(study, tmp_path / "out")


@pytest.mark.parametrize("path", SYNCNET_STUDIES, ids=lambda path: path.stem)
def test_the_networks_of_the_papers_studies_fit_their_inputs(path):
    study = read_study(path)
    variants = build_variants(path, study, Path("out"), ["steps=200"])
    assert len(variants) >= 2
    assert {variant.recipe.steps for variant in variants} == {200}
    assert len({repr(variant.recipe) for variant in variants}) == len(variants)
    for variant in variants:
        side = variant.recipe.resolution
        picture = (16, side // 32, side // 16) if variant.recipe.space == "latent" else (3, side // 2, side)
        with torch.device("meta"):
            build_syncnet(variant.recipe, picture)


@pytest.mark.parametrize("path", UNET_STUDIES, ids=lambda path: path.stem)
def test_a_study_of_the_unet_starts_from_the_mini_bundle_and_changes_losses_only(path, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    study = read_study(path)
    variants = build_variants(path, study, Path("out"), [])
    alike = [replace(each.recipe, run_dir=Path(), losses=LossRecipe(sync=0, lpips=0, trepa=0)) for each in variants]
    assert len(set(map(repr, alike))) == 1
    assert len({variant.recipe.losses for variant in variants}) == len(variants) >= 2
    recipe = variants[0].recipe
    unet = build_unet(recipe)
    trained = {name for name, parameter in unet.named_parameters() if parameter.requires_grad}
    assert trained == {name for name, _ in unet.named_parameters() if "motion_modules" in name or "attentions" in name}
    refuse_misfit(recipe, load_autoencoder(recipe.vae_dir, torch.device("cpu")), width=200)


def test_a_variants_networks_are_missed_before_anything_is_trained(tmp_path):
    base = write_recipe(tmp_path, steps=1)
    judges = {"validation.generated": 1, "validation.judges": {"third": str(tmp_path / "third")}}
    pixel = {"losses.sync": 0.05, "losses.syncnet_dir": str(tmp_path / "pixel")}
    study = {"title": "Sync", "trainer": "train-unet", "base": base.name, "source": "", "finding": "",
             "variants": {"none": {}, "pixel": pixel, "judged": judges}}  # fmt: skip
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    with pytest.raises(BadOption) as caught:
        ablate(tmp_path / "study.yaml", tmp_path / "out")
    assert f"variant 'pixel': losses.syncnet_dir is {tmp_path / 'pixel'}, which does not exist" in str(caught.value)
    assert f"variant 'judged': validation.judges.third is {tmp_path / 'third'}, which" in str(caught.value)
    assert "'none'" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_study_of_the_unet_compares_what_held_out_people_say(tmp_path):
    validation = {"steps": 1, "windows": 2, "generated": 1, "sample_clips": 0, "denoising_steps": 1}
    base = write_recipe(tmp_path, ("cyd",), steps=2, validation=validation)
    study = {"title": "TREPA", "trainer": "train-unet", "base": base.name, "source": "ablation", "finding": "On.",
             "variants": {"off": {}, "on": {"losses.trepa": 10, "losses.videomae_dir": STAND_IN}}}  # fmt: skip
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    ablate(tmp_path / "study.yaml", tmp_path / "out")
    head, _, off, on = (tmp_path / "out" / "study.md").read_text().splitlines()[4:8]
    assert "| held-out hole_error, end | held-out movement_error, end | held-out trepa_stand_in, end |" in head
    assert off.startswith("| off | finished | 2 |")
    best = min(row["hole_error"] for row in read_curve(tmp_path / "out" / "on" / "validation.csv"))
    assert float(on.split(" | ")[7]) == pytest.approx(best, rel=0.05)


def test_there_is_a_study_for_every_figure():
    assert sorted(read_study(path).source for path in SYNCNET_STUDIES) == sorted(
        f"arXiv:2412.09262, figure {number}" for number in range(7, 13)
    )
