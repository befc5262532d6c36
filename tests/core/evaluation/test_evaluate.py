"""Whole evaluations on a real face: known answers, failures, resuming, the files, the command line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from latentsync_core.cli import main
from latentsync_core.errors import BadOption
from latentsync_core.evaluation import run_pairs as run_pairs_module
from latentsync_core.evaluation.evaluate import evaluate_systems
from latentsync_core.evaluation.measure import Heard, measure_result
from latentsync_core.evaluation.networks import Networks
from latentsync_core.evaluation.pairs import PASTE_REFERENCE, Pair, System
from latentsync_core.evaluation.run_pairs import RunSettings
from latentsync_core.evaluation.seen_clip import read_at_25, see_clip
from latentsync_core.evaluation.tables import mode_tables, paper_table
from latentsync_core.evaluation.weights import SHIPPED_SYNCNET, STABLE_SYNCNET, EvaluationWeights
from latentsync_core.face.mediapipe_backend import MediapipeBackend
from tests.conftest import SAMPLE_AUDIO, SAMPLE_VIDEO, run_ffmpeg
from tests.core.clips import numbered_clip, numbers_of

FRAMES = 12
SECONDS = FRAMES / 25


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Two short talking heads, "ann" and (mirrored, later) "bob", and a folder of results: a softened copy of ann."""
    folder = tmp_path_factory.mktemp("clips")
    for name, start, look in (("ann", 0.0, "scale=256:256"), ("bob", 2.0, "hflip,scale=256:256")):
        inputs = ["-ss", str(start), "-i", SAMPLE_VIDEO, "-ss", str(start), "-i", SAMPLE_AUDIO, "-t", str(SECONDS)]
        run_ffmpeg(*inputs, "-vf", look, "-c:v", "libx264", "-crf", "8", folder / f"{name}.mp4")
    (folder / "ours").mkdir()
    soft = ("-vf", "gblur=1", "-c:v", "libx264", "-c:a", "copy")
    run_ffmpeg("-i", folder / "ann.mp4", *soft, folder / "ours" / "ann.mp4")
    return folder


@pytest.fixture(scope="module")
def pairs(clips):
    ann, bob = clips / "ann.mp4", clips / "bob.mp4"
    return [
        Pair("reconstruction", "ann", ann, ann, ann),
        Pair("cross_driven", "ann--bob", ann, bob, bob),
    ]


@pytest.fixture(scope="module")
def out_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("out")


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return RunSettings(SECONDS, 15, EvaluationWeights(tmp_path_factory.mktemp("no_weights")))


@pytest.fixture(scope="module")
def results(pairs, clips, out_dir, settings):
    return evaluate_systems(pairs, [System("ours", "results", clips / "ours")], out_dir, settings, title="tiny")


def test_ground_truth_is_perfect(results):
    row = results["tables"]["reconstruction"]["ground truth"]
    values = {key: found["value"] for key, found in row.items()}
    expected = {
        "success": 1,
        "driver_correlation": 1,
        "instant_driver_correlation": 1,
        "ssim": 1,
        "psnr": 100,
        "lmd": 0,
        "sharpness": 1,
        "seam": 0,
    }
    assert {key: values[key] for key in expected} == pytest.approx(expected, abs=1e-6)
    assert values["vae_distance"] == pytest.approx(0, abs=1e-6)


def test_the_source_unchanged_leaks_fully(results):
    row = results["tables"]["cross_driven"]["source unchanged"]
    assert row["leakage"]["value"] == pytest.approx(1)
    assert "leakage" not in results["tables"]["cross_driven"]["ground truth"]
    assert "source unchanged" not in results["tables"]["reconstruction"]


def test_the_pasted_reference_is_a_video_with_one_mouth_and_the_pairs_sound(results, pairs, out_dir):
    pasted = next(pair for pair in results["pairs"] if pair["system"] == PASTE_REFERENCE and pair["name"] == "ann--bob")
    frames = np.stack(list(read_at_25(Path(pasted["result"]), 9)))
    with MediapipeBackend() as detector:
        source = see_clip(pairs[0].source, detector, SECONDS)
        clip = see_clip(Path(pasted["result"]), detector, SECONDS, source.fits)
    assert len(frames) == FRAMES
    mouths = [crops[:, 150:190, 90:166].astype(float) for crops in (clip.crops, source.crops)]
    change, before = (np.abs(np.diff(mouth, axis=0)).mean() for mouth in mouths)
    assert change < before  # what still changes is the coding
    untouched = [crops[:, :60].astype(float) for crops in (clip.crops, source.crops)]
    assert np.abs(untouched[0] - untouched[1]).mean() < 2
    table = results["tables"]["reconstruction"]
    assert table[PASTE_REFERENCE]["lower_psnr"]["value"] < table["ground truth"]["lower_psnr"]["value"]


def test_a_missing_result_counts_as_a_failure_and_nowhere_else(results):
    assert results["tables"]["reconstruction"]["ours"]["success"]["value"] == 1
    crossed = results["tables"]["cross_driven"]["ours"]
    assert set(crossed) == {"success"}
    assert crossed["success"]["value"] == 0
    failed = next(pair for pair in results["pairs"] if pair["system"] == "ours" and pair["mode"] == "cross_driven")
    assert failed["problem"] == "there is no result"


def test_systems_are_compared_with_each_row_pair_by_pair(results):
    compared = {(c["mode"], c["first"], c["second"]): c["measures"] for c in results["comparisons"]}
    assert ("reconstruction", "ours", "ground truth") not in compared  # nobody beats it
    measures = compared["reconstruction", "ours", PASTE_REFERENCE]
    rows = results["tables"]["reconstruction"]
    by_hand = rows["ours"]["ssim"]["value"] - rows[PASTE_REFERENCE]["ssim"]["value"]
    assert measures["ssim"]["value"] == pytest.approx(by_hand)
    assert measures["ssim"]["first_higher"] == float(by_hand > 0)


def test_what_has_no_weights_says_what_to_put_where(results, settings):
    assert set(results["missing"]) >= {"sync_confidence", "fid", "fvd", "lpips", "csim"}
    assert str(settings.weights.folder / "syncnet_v2.model") in results["missing"]["sync_distance"]
    _, head, rows = paper_table(results)
    ours = dict(zip(head, rows[-1], strict=True))
    assert ours["Sync_conf ↑"] == ours["FID ↓"] == "not computed"
    assert ours["SSIM ↑"].endswith("n=1")


def test_the_syncnet_that_ships_judges_where_no_other_is_given(results, settings):
    assert results["stable_syncnet"] == "StableSyncNet (mini_syncnet)"
    assert "stable_confidence" not in results["missing"]
    put_there = settings.weights.folder / "stable_syncnet"
    put_there.mkdir(parents=True)
    try:
        assert settings.weights.path_of(STABLE_SYNCNET) == put_there
    finally:
        put_there.rmdir()
    assert settings.weights.path_of(STABLE_SYNCNET) == SHIPPED_SYNCNET


def test_the_published_rows_stand_beside_ours_only_on_their_data(results):
    names = [row[0] for row in paper_table({**results, "published": "HDTF"})[2]]
    assert any(name.startswith("Wav2Lip") for name in names)
    assert not any(name.startswith("Wav2Lip") for name in [row[0] for row in paper_table(results)[2]])


def test_the_files_are_written(results, out_dir):
    assert json.loads((out_dir / "results.json").read_text())["tables"] == results["tables"]
    report = (out_dir / "report.md").read_text()
    for title, _, rows in mode_tables(results):
        assert title in report
        assert rows[0][1] in report
    assert "data:image/png" in (out_dir / "report.html").read_text()


def test_nothing_is_measured_twice_but_what_changed(results, pairs, clips, out_dir, settings, monkeypatch, tmp_path):
    measured = []
    score = run_pairs_module._score

    def noted(system, pair, *others):
        measured.append((system.name, pair.name))
        return score(system, pair, *others)

    monkeypatch.setattr(run_pairs_module, "_score", noted)
    again = evaluate_systems(pairs, [System("ours", "results", clips / "ours")], out_dir, settings, title="tiny")
    assert measured == []
    assert again["tables"] == results["tables"]
    other = tmp_path / "ours"
    other.mkdir()
    shutil.copy(clips / "ann.mp4", other / "ann--bob.mp4")
    shutil.copy(clips / "ours" / "ann.mp4", other / "ann.mp4")  # the same file elsewhere
    changed = evaluate_systems(pairs, [System("ours", "results", other)], out_dir, settings, title="tiny")
    assert measured == [("ours", "ann--bob")]
    assert changed["tables"]["cross_driven"]["ours"]["leakage"]["value"] > 0.99


def test_two_systems_of_one_name_are_refused(pairs, out_dir, settings):
    with pytest.raises(BadOption, match="two names"):
        evaluate_systems(pairs, [System("ours", "results", out_dir)] * 2, out_dir, settings, title="")


def test_a_shifted_sound_gives_back_its_offset_through_the_whole_measurement(clips):
    """A judge that sees the frame's number and hears the sample's."""

    class Judge:
        name = "counter"

        def embed(self, clip, pcm):
            frames = len(clip.meshes)
            codes = np.random.default_rng(0).normal(size=(frames + 40, 8))
            heard = pcm[: frames * 640 : 640].astype(int)  # says which moment is heard
            return codes[np.arange(frames)], codes[heard]

    with MediapipeBackend() as detector:
        clip = see_clip(clips / "ann.mp4", detector, SECONDS)
    moments = np.repeat(np.arange(FRAMES).clip(3) - 3, 640).astype(np.int16)  # three frames late
    networks = Networks(syncnet_v2=Judge())
    found = measure_result(clip, clip, Heard(moments, None), "cross_driven", networks, 5)
    assert found.scores["sync_offset"] == 3
    assert len(found.series["sync_confidence"]) == FRAMES


def test_another_rate_is_seen_at_25_frames(tmp_path):
    clip = numbered_clip(tmp_path / "a.mp4", 50, "50")
    assert numbers_of(read_at_25(clip, 0.4)) == [1, 3, 5, 7, 9, 11, 13, 15, 17, 19]
    slow = numbered_clip(tmp_path / "b.mp4", 10, "12.5")
    assert numbers_of(read_at_25(slow, 0.24)) == [0, 0, 1, 1, 2, 2]


def test_one_result_by_the_command_line(clips, tmp_path, capsys):
    ours, source = clips / "ours" / "ann.mp4", clips / "ann.mp4"
    command = ["evaluate", str(ours), str(tmp_path), "--source", str(source), "--weights", str(tmp_path / "none")]
    assert main(command) == 0
    told = capsys.readouterr().out
    assert "SSIM" in told or "Success" in told
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["kind"] == "single"
    assert len(results["pairs"][0]["series"]["opening"]) == FRAMES
    assert main(["evaluate", str(ours), str(tmp_path)]) == 2
    assert "--source" in capsys.readouterr().err


def test_a_jobs_folder_by_the_command_line(clips, tmp_path):
    job = tmp_path / "job"
    job.mkdir()
    shutil.copy(clips / "ann.mp4", job / "input_video.mp4")
    shutil.copy(clips / "bob.mp4", job / "input_audio.mp4")
    shutil.copy(clips / "ours" / "ann.mp4", job / "result.mp4")
    for kind in ("video", "audio"):
        (job / f"input_{kind}.json").write_text(json.dumps({"name": "x", "file": f"input_{kind}.mp4"}))
    assert main(["evaluate", str(job), "--weights", str(tmp_path / "none")]) == 0
    scores = json.loads((job / "evaluation" / "results.json").read_text())["pairs"][0]["scores"]
    assert scores["leakage"] > 0.7  # blurred by one pixel
    assert "ssim" not in scores  # a difference is what the job was for
