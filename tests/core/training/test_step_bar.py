"""How far a run is: a bar in a terminal, lines in the log elsewhere."""

import io
import logging
import sys

import pytest

from latentsync_core.training.step_bar import StepBar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_step_loss_speed_and_time_left(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with StepBar(100, float("inf"), step=20, seconds=300.0, is_main=True) as bar:
        for step in range(21, 41):
            bar.show(step, 300 + (step - 20) / 2, 0.5)
        bar._bar.refresh()
    shown = sys.stderr.getvalue().rpartition("\r")[2] or sys.stderr.getvalue()
    assert "step 40 of 100, loss 0.5, 2 steps/s, 00:30 left" in shown


def test_the_clock_may_end_a_run_before_its_steps():
    bar = StepBar(1000, max_minutes=1, step=0, seconds=0.0, is_main=True)
    assert bar.speed_words(10, 20.0) == "0.5 steps/s, 00:40 left"
    assert bar.speed_words(0, 0.0) == "- steps/s"


@pytest.mark.parametrize(("is_main", "lines"), [(True, 1), (False, 0)])
def test_without_a_terminal_the_main_process_leaves_lines_in_the_log(is_main, lines, caplog, capsys):
    caplog.set_level(logging.INFO)
    with StepBar(100, float("inf"), step=0, seconds=0.0, is_main=is_main) as bar:
        bar.show(10, 5.0, 0.25)
        bar.note(10, 5.0, 0.25)
    assert [record.getMessage() for record in caplog.records] == ["step 10 of 100: loss 0.25, 2 steps/s, 00:45 left"][
        :lines
    ]
    assert capsys.readouterr().err == ""


def test_only_the_main_process_has_a_bar(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with StepBar(100, float("inf"), step=0, seconds=0.0, is_main=False) as bar:
        bar.show(10, 5.0, 0.25)
    assert sys.stderr.getvalue() == ""
