"""The page of several studies: tables and charts of each, and the verdict of whoever looked at them."""

import json

import cv2
import numpy as np
import pytest

from latentsync_core.cli import main


def save_study(folder, title, chart_width=1440):
    folder.mkdir(parents=True)
    (folder / "study.md").write_text(f"# {title}\n\nThe paper: so.\n\n| a |\n|---|\n| 1 |\n\n![curves](study.png)\n")
    noise = np.random.default_rng(0).integers(0, 255, (480, chart_width, 3)).astype(np.uint8)
    cv2.imwrite(str(folder / "study.png"), noise)
    (folder / "one").mkdir()
    facts = {"trainer": "train-syncnet", "machine": {"host": "secret", "processor": "two cores"}}
    (folder / "one" / "run.json").write_text(json.dumps(facts))
    (folder / "one" / "losses.csv").write_text("step,seconds,total\n1,1,0.7\n")
    return folder


def test_the_page_holds_each_study_with_its_chart_and_verdict(tmp_path):
    frames, space = save_study(tmp_path / "runs" / "frames", "Frames"), save_study(tmp_path / "runs" / "space", "Space")
    (space / "verdict.md").write_text("Repeated, because.\n")
    page = tmp_path / "docs" / "studies.md"
    assert main(["study-report", str(page), str(frames), str(space)]) == 0
    text = page.read_text()
    assert text.index("## Frames") < text.index("## Space")
    assert "![curves](studies/frames.png)" in text
    assert "| 1 |" in text
    assert "Not judged yet" in text.split("## Space")[0]
    assert "**Repeated here?** Repeated, because." in text.split("## Space")[1]
    assert text.count("Machine: processor two cores.") == 1
    assert "secret" not in text
    assert cv2.imread(str(tmp_path / "docs" / "studies" / "space.png")).shape == (333, 1000, 3)


@pytest.mark.parametrize(
    ("names", "message"), [(("none",), "none: no study.md"), (("a/x", "b/x"), "must have different names")]
)
def test_what_is_no_study_or_has_anothers_name_is_refused(tmp_path, names, message, capsys):
    save_study(tmp_path / "a" / "x", "X")
    save_study(tmp_path / "b" / "x", "X")
    assert main(["study-report", str(tmp_path / "page.md"), *(str(tmp_path / name) for name in names)]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "page.md").exists()
