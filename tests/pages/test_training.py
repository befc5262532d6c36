"""The page Training as Streamlit runs it, over run folders in every state, without a browser."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from latentsync_core.training.run_state import RunMark
from latentsync_core.training.runs import find_runs
from pages.parts.run_list import runs_table
from pages.parts.run_view import chart_points

PAGES = Path(__file__).resolve().parents[2] / "pages"


@pytest.fixture
def runs(tmp_path, deployment) -> Path:
    """The deployment's folder of runs; there is nothing yet."""
    deployment(runs_dir=tmp_path / "runs")
    return tmp_path / "runs"


def save_run(folder: Path, steps: int = 1000) -> Path:
    """A SyncNet's run of 128 windows a step, 2 s each."""
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(f"steps: {steps}\nbatch_size: 64\nbatches_per_step: 2\nspace: <b>pixel</b>\n")
    machine = {"host": "node-7", "processor": "Some CPU, 2 cores", "gpu": "none"}
    facts = {"trainer": "train-syncnet", "started": "2026-11-22T13:20:00+00:00", "machine": machine}
    (folder / "run.json").write_text(json.dumps(facts))
    (folder / "losses.csv").write_text(
        "step,seconds,total,accuracy,waiting_seconds\n100,200.0,0.69,0.5,0.1\n200,400.0,0.61,0.6,0.1\n250,500.0,nan,0.6"
    )
    (folder / "validation.csv").write_text("step,seconds,total,accuracy\n200,400.0,0.65,0.575\n")
    return folder


def open_training(**query: str) -> AppTest:
    test = AppTest.from_file(str(PAGES / "frame.py"), default_timeout=60)
    test.query_params.update(query)
    return test.switch_page("training.py").run()


def said(test: AppTest) -> str:
    assert not test.exception
    parts = [element.proto.body for element in test.get("html") if "<style>" not in element.proto.body]
    kinds = ("markdown", "caption", "info", "warning", "code", "subheader")
    return "\n".join([*parts, *(element.value for kind in kinds for element in test.get(kind))])


def test_without_runs_the_page_says_how_to_start_one(runs):
    text = said(open_training())
    assert "No runs yet" in text
    assert str(runs) in text
    assert "LIPSYNC_RUNS_DIR" in text
    assert "train-syncnet" in text


def test_the_table_tells_what_each_run_does(runs):
    with RunMark(save_run(runs / "studies" / "a&b")):
        text = said(open_training())
    for part in ("Running", "SyncNet", "200 of 1\u202f000", "64 windows/s", "0.61", "held-out accuracy 57.5 %"):
        assert part in text, part
    assert 'href="training?run=studies%2Fa%26b"' in text
    assert "a&amp;b" in text


def test_a_killed_run_is_called_stopped(runs):
    folder = save_run(runs / "run")
    (folder / "state.json").write_text('{"state": "running", "why": ""}')
    text = said(open_training(run="run"))
    assert 'href="training"' in text  # the way back
    assert "Stopped before its end: the process was killed" in text
    assert "--resume latest" in text


def test_a_running_run_shows_progress_alarm_curves_samples_machine_and_settings(runs):
    folder = save_run(runs / "run")
    (folder / "alarm.txt").write_text("stuck at 0.69, since step 100\n")
    (folder / "samples").mkdir()
    Image.new("RGB", (8, 8)).save(folder / "samples" / "step_00000200.png")
    with RunMark(folder):
        test = open_training(run="run")
        text = said(test)
    for part in (
        "Step 200 of 1\u202f000", "20 %", "about 27 min left", "stuck at 0.69", "10.0 %", "node-7",
        "2026-11-22 13:20 UTC", "space: <b>pixel</b>", "step_00000200",
    ):  # fmt: skip
        assert part in text, part
    charts = [json.loads(chart.proto.spec) for chart in test.get("vega_lite_chart")]
    assert sorted(len(chart.get("layer", [])) for chart in charts) == [0, 2, 2]  # chance for loss and accuracy


def test_curves_hold_training_and_held_out_points(runs):
    save_run(runs / "run")
    (run,) = find_runs(runs)
    charts = chart_points(run)
    assert list(charts) == ["total", "accuracy", "waiting_seconds"]
    assert charts["total"] == [
        {"step": 100, "value": 0.69, "curve": "training"},
        {"step": 200, "value": 0.61, "curve": "training"},  # the row after it is cut off
        {"step": 200, "value": 0.65, "curve": "held-out people"},
    ]


def test_a_run_that_left_hardly_anything_is_shown_all_the_same(runs):
    (runs / "old").mkdir(parents=True)
    (runs / "old" / "losses.csv").write_text("")
    assert "–" in said(open_training())
    text = said(open_training(run="old"))
    assert "No curves yet" in text
    assert "does not say where it ran" in text
    assert "holds no recipe.yaml" in text


@pytest.mark.parametrize("name", ["../secret", "/etc", "gone"])
def test_an_address_leads_only_to_runs_below_the_folder(runs, name):
    save_run(runs.parent / "secret")
    save_run(runs / "run")
    text = said(open_training(run=name))
    assert "This run is not here" in text
    assert "node-7" not in text


def test_names_are_text_whatever_they_contain(runs):
    save_run(runs / "<img src=x>")
    table = runs_table(find_runs(runs), datetime.now(UTC))
    assert "<img" not in table
    assert re.search(r"&lt;img src=x&gt;</a>", table)
