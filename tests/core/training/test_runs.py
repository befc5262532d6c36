"""Runs as their folders tell them: state by the trainer's lock, and curves however broken their files are."""

import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from latentsync_core.errors import BadOption, Cancelled
from latentsync_core.training.run_facts import describe_run
from latentsync_core.training.run_state import RunMark, RunState, read_state
from latentsync_core.training.runs import find_runs, read_curve, read_run
from tests.conftest import REPOSITORY


@dataclass(frozen=True)
class TinyRecipe:
    run_dir: Path
    steps: int = 100
    batch_size: int = 8
    batches_per_step: int = 2
    parts: tuple[str, ...] = ("a", "b")


def save_run(folder: Path, rows: int = 4) -> Path:
    """A run of 10 steps a row and 2 s a step, a quarter of which it waits for data."""
    describe_run(TinyRecipe(folder), "train-syncnet")
    lines = [f"{step},{2 * step}.0,{1 / step},0.25" for step in range(10, 10 * rows + 1, 10)]
    (folder / "losses.csv").write_text("\n".join(["step,seconds,total,waiting_seconds", *lines, ""]))
    return folder


def test_a_run_tells_what_its_trainer_left(tmp_path):
    folder = save_run(tmp_path / "run")
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "step_00000044.pt").touch()  # four steps that are not in the curve yet
    (folder / "alarm.txt").write_text("stuck\n")
    with RunMark(folder):
        pass
    run = read_run(folder, "run")
    assert (run.trainer, run.state, run.why, run.alarm) == ("train-syncnet", RunState.FINISHED, "", "stuck")
    assert (run.steps, run.planned_steps, run.items_per_step) == (44, 100, 16)
    assert (run.seconds, run.seconds_per_step) == (80, 2)
    assert run.waiting_share == pytest.approx(0.25)  # twice 0.25 s in a step of 2 s
    assert run.recipe["parts"] == ["a", "b"]
    assert {"host", "processor", "gpu", "torch"} <= run.facts["machine"].keys()


def test_a_resumed_run_keeps_the_time_of_its_first_start(tmp_path):
    folder = save_run(tmp_path)
    facts = (folder / "run.json").read_text()
    started = read_run(folder, "run").facts["started"]
    (folder / "run.json").write_text(facts.replace(started, "2026-01-02T03:04:05+00:00"))
    describe_run(TinyRecipe(folder, steps=200), "train-syncnet")
    run = read_run(folder, "run")
    assert (run.facts["started"], run.planned_steps) == ("2026-01-02T03:04:05+00:00", 200)


def test_a_run_runs_while_its_trainer_does_and_then_says_how_it_ended(tmp_path):
    assert read_state(tmp_path) is None
    with RunMark(tmp_path):
        assert read_state(tmp_path) == (RunState.RUNNING, "")
        with pytest.raises(BadOption, match="another process"), RunMark(tmp_path):
            pass
        assert read_state(tmp_path) == (RunState.RUNNING, "")
    assert read_state(tmp_path) == (RunState.FINISHED, "")
    with pytest.raises(Cancelled), RunMark(tmp_path):
        raise Cancelled("SIGTERM at step 7")
    assert read_state(tmp_path) == (RunState.STOPPED, "Cancelled: SIGTERM at step 7")


def test_a_killed_run_is_not_taken_for_a_running_one(tmp_path):
    code = (
        "import sys, time, pathlib; from latentsync_core.training.run_state import RunMark\n"
        "with RunMark(pathlib.Path(sys.argv[1])):\n    time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=REPOSITORY) as trainer:
        deadline = time.monotonic() + 50
        while read_state(tmp_path) != (RunState.RUNNING, ""):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        trainer.send_signal(signal.SIGKILL)
    state, why = read_state(tmp_path)
    assert state is RunState.STOPPED
    assert "killed" in why


def test_an_old_run_without_a_state_is_judged_by_how_long_it_is_quiet(tmp_path):
    folder = save_run(tmp_path)
    (folder / "losses.csv").write_text("step,seconds,total\n1,0.0,1.0\n2,100.0,1.0\n")
    for seconds_ago, state in ((250, RunState.RUNNING), (350, RunState.ENDED)):
        then = time.time() - seconds_ago
        for path in (folder, *folder.iterdir()):
            os.utime(path, (then, then))
        assert read_run(folder, "run").state is state, seconds_ago


def test_rows_that_are_cut_off_broken_or_measured_again_do_no_harm(tmp_path):
    path = tmp_path / "losses.csv"
    assert read_curve(path) == []
    path.write_text("")
    assert read_curve(path) == []
    path.write_bytes(b"\x00\xff\xfe not a curve")
    assert read_curve(path) == []
    path.write_text(
        "step,seconds,total\n10,1.0,0.5\nnan,1.0,0.5\n20,2.0,oops\n20,2.0,0.4\n30,3.0\n20,2.5,nan\n30,3.0,0."
    )
    rows = read_curve(path)
    assert [row["step"] for row in rows] == [10, 20, 30]
    assert (rows[1]["seconds"], math.isnan(rows[1]["total"])) == (2.5, True)  # a loss that left the numbers is shown


def test_a_curve_without_a_header_is_read_by_columns(tmp_path):
    (tmp_path / "losses.csv").write_text("50,41.1,0.35,0.3\n100,68.6,0.16,0.1\n")
    assert read_curve(tmp_path / "losses.csv")[1] == {"step": 100, "seconds": 68.6, "column 3": 0.16, "column 4": 0.1}


@pytest.mark.parametrize("broken", ["[1, 2", "- a\n- b\n", "steps: many\nbatch_size: true\n", "\x00"])
def test_broken_files_make_a_run_say_less_not_fail(tmp_path, broken):
    for name in ("recipe.yaml", "run.json", "state.json", "losses.csv", "validation.csv"):
        (tmp_path / name).write_text(broken)
    run = read_run(tmp_path, "run")
    assert (run.planned_steps, run.seconds_per_step, run.waiting_share, run.steps, run.samples) == (
        None, None, None, 0, [],
    )  # fmt: skip
    assert run.state is RunState.STOPPED


def test_runs_are_found_in_folders_of_studies_but_not_in_their_own_parts(tmp_path):
    for name in ("a", "study/b", "a/checkpoints/c", "1/2/3/4/5/too_deep"):
        save_run(tmp_path / name)
    (tmp_path / "a" / "samples").mkdir()
    for sample in ("step_1.png", "step_2.mp4", "notes.txt"):
        (tmp_path / "a" / "samples" / sample).touch()
    os.utime(tmp_path / "a" / "losses.csv", (2e9, 2e9))
    runs = find_runs(tmp_path)
    assert [run.name for run in runs] == ["a", "study/b"]  # the last changed first
    assert [path.name for path in runs[0].samples] == ["step_2.mp4", "step_1.png"]
    assert find_runs(tmp_path / "nothing") == []


def test_the_trainer_of_an_old_run_is_told_by_what_it_left(tmp_path):
    (tmp_path / "unet.pt").touch()
    (tmp_path / "losses.csv").write_text("step,seconds,total\n1,1.0,1.0\n")
    assert read_run(tmp_path, "run").trainer == "train-unet"
