"""The command line: fixed names, plain messages, exit codes people can rely on."""

import json
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest

from latentsync_core import pipeline as pipeline_module
from latentsync_core.cli import build_parser, main
from latentsync_core.commands import lipsync
from latentsync_core.errors import Cancelled
from latentsync_core.options import LipSyncOptions
from latentsync_core.report import LipSyncReport


class FakePipeline:
    """Takes the place of the pipeline where only the command line is looked at."""

    result: BaseException | None = None
    calls: ClassVar[list[tuple]] = []

    @classmethod
    def from_bundle(cls, name: str, *, device: str) -> "FakePipeline":
        cls.calls = [(name, device)]
        return cls()

    def run(self, video: Path, audio: Path, out: Path, options: LipSyncOptions, *, work_dir, on_progress):
        self.calls.append((video, audio, out, options, work_dir))
        if self.result is not None:
            raise self.result
        return LipSyncReport("mini", "cpu", "float32", options.seed, 8, 1.5, frames=50, warnings=["something"])


@pytest.fixture
def clip(synthetic_video: Path) -> str:
    """A file with picture and sound, for both."""
    return str(synthetic_video)


@pytest.fixture
def fake_pipeline(monkeypatch: pytest.MonkeyPatch) -> type[FakePipeline]:
    monkeypatch.setattr(pipeline_module, "LipSyncPipeline", FakePipeline)
    monkeypatch.setattr(FakePipeline, "result", None)
    return FakePipeline


def test_every_choice_reaches_the_pipeline(fake_pipeline: type[FakePipeline], clip: str, tmp_path: Path):
    report = tmp_path / "report.json"
    words = "o.mp4 --model m --steps 5 --guidance 2 --seed 3 --device cpu --face 10,20"
    words += " --face-backend face-alignment --audio-longer loop --audio-shorter pass --work-dir w --quiet --report"
    assert main(["lipsync", clip, clip, *words.split(), str(report)]) == 0
    [loaded, ran] = fake_pipeline.calls
    options = LipSyncOptions(5, 2.0, 3, "loop", "pass", (10.0, 20.0), "face-alignment")
    assert loaded == ("m", "cpu")
    assert ran == (Path(clip), Path(clip), Path("o.mp4"), options, Path("w"))
    assert json.loads(report.read_text())["frames"] == 50


def test_the_defaults_are_those_of_the_options(fake_pipeline: type[FakePipeline], clip: str):
    assert main(["lipsync", clip, clip, "o.mp4", "--quiet"]) == 0
    assert fake_pipeline.calls[0] == ("mini", "auto")
    assert fake_pipeline.calls[1][3] == LipSyncOptions()


@pytest.mark.parametrize(
    ("result", "code", "said"), [(KeyboardInterrupt(), 130, "interrupted"), (Cancelled("stop"), 130, "cancelled")]
)
def test_an_interrupted_run_says_so(
    fake_pipeline: type[FakePipeline], clip: str, monkeypatch, capsys, result: BaseException, code: int, said: str
):
    monkeypatch.setattr(fake_pipeline, "result", result)
    assert main(["lipsync", clip, clip, "o.mp4", "--quiet"]) == code
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--steps", "0"], "steps must be between"),
        (["--guidance", "99"], "guidance must be between"),
        (["--model", "nowhere"], "nowhere"),
    ],
)
def test_errors_are_told_in_one_plain_line(clip: str, capsys, words: list[str], message: str):
    assert main(["lipsync", clip, clip, "o.mp4", "--quiet", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert "Traceback" not in error


def test_a_face_is_an_index_or_a_point():
    assert lipsync._face("1") == 1
    assert lipsync._face("320,200.5") == (320.0, 200.5)
    with pytest.raises(SystemExit):
        build_parser().parse_args(["lipsync", "v", "a", "o", "--face", "left"])


def test_names_that_begin_with_a_dash_can_be_given():
    parsed = build_parser().parse_args(["lipsync", "--steps", "3", "--", "-v.mp4", "-a.wav", "-o.mp4"])
    assert (parsed.video, parsed.out) == (Path("-v.mp4"), Path("-o.mp4"))


def test_models_are_listed(capsys):
    assert main(["models", "list"]) == 0
    assert "latentsync-1.5" in capsys.readouterr().out


def test_help_answers_without_loading_torch():
    code = "import sys; from latentsync_core.cli import build_parser; build_parser(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_a_wrong_file_is_told_at_once_by_the_program_itself(tmp_path: Path):
    (tmp_path / "text.mp4").write_text("text")
    command = [sys.executable, "-m", "latentsync_core", "lipsync", str(tmp_path / "text.mp4"), "a.wav", "o.mp4"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: 'text.mp4' is not a video")
    assert len(done.stderr.splitlines()) == 1
