"""Curves: rows that a resumed run measures again are forgotten, in the file and in TensorBoard."""

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from latentsync_core.training.curves import Curve, TensorBoard, plot_curves


def test_tensorboard_shows_the_steps_of_a_resumed_run_once(tmp_path):
    for first, loss in ((1, 1.0), (3, 2.0)):  # killed after step 5, resumed after step 2
        with TensorBoard(tmp_path / "board") as board:
            for step in range(first, 6):
                Curve(tmp_path / "losses.csv", board).add(step, 0.0, {"total": loss})
    shown = EventAccumulator(str(tmp_path / "board")).Reload().Scalars("losses/total")
    assert [(point.step, point.value) for point in shown] == [(1, 1.0), (2, 1.0), (3, 2.0), (4, 2.0), (5, 2.0)]


def test_later_rows_are_forgotten(tmp_path):
    curve = Curve(tmp_path / "losses.csv")
    curve.forget_after(3)  # nothing there yet
    for step in (2, 4, 6):
        curve.add(step, step * 1.5, {"total": step / 10})
    curve.forget_after(4)
    curve.add(5, 8.0, {"total": 0.7})
    assert curve.rows() == [
        {"step": 2, "seconds": 3.0, "total": 0.2},
        {"step": 4, "seconds": 6.0, "total": 0.4},
        {"step": 5, "seconds": 8.0, "total": 0.7},
    ]


def test_a_file_that_a_kill_left_empty_gets_its_header(tmp_path):
    (tmp_path / "losses.csv").touch()
    curve = Curve(tmp_path / "losses.csv")
    curve.forget_after(0)
    curve.add(1, 0.0, {"total": 0.5})
    assert curve.rows() == [{"step": 1, "seconds": 0.0, "total": 0.5}]


def test_a_picture_is_drawn_of_whatever_is_there(tmp_path):
    training, validation = Curve(tmp_path / "losses.csv"), Curve(tmp_path / "validation.csv")
    levels = {"total": 0.69, "accuracy": 0.5}
    plot_curves(tmp_path / "empty.png", {"training": training}, levels)
    training.add(1, 0.0, {"total": 0.5})
    plot_curves(tmp_path / "curves.png", {"training": training, "validation": validation}, levels)
    for name in ("empty.png", "curves.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
