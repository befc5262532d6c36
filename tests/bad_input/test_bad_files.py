"""Bad files are refused in one plain line that says which file, and nothing is left behind; odd ones still work."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from latentsync_core.cli import main
from latentsync_core.errors import LipSyncError
from latentsync_core.media.probe import probe_media
from tests.conftest import REPOSITORY
from worker.job import JobState
from worker.job_queue import JobQueue

#: (video, audio, the file to blame, a word that says what is wrong)
REFUSED_AT_THE_DOOR = [
    ("empty.mp4", "speech.wav", "empty.mp4", "empty"),
    ("face.mp4", "empty.wav", "empty.wav", "empty"),
    ("text.mp4", "speech.wav", "text.mp4", "video"),
    ("face.mp4", "text.wav", "text.wav", "sound"),
    ("no_index.mp4", "speech.wav", "no_index.mp4", ""),
    ("sound_only.mp4", "speech.wav", "sound_only.mp4", "picture"),
    ("face.mp4", "face.mp4", "face.mp4", "sound"),
    ("huge.mp4", "speech.wav", "huge.mp4", "5000"),
    ("huge.png", "speech.wav", "huge.png", "60000"),
]
REFUSED_WHEN_LOOKED_AT = [
    ("face.mp4", "silence.wav", "silence.wav", "silen"),
    ("no_face.mp4", "speech.wav", "", "No face was found in any of the 10 frames"),
]
ODD_NAMES = [
    "two words.mp4", "it's \"quoted\".mp4", "line\nbreak.mp4", "käse 口元 🎤.mp4", "-rf.mp4", "--steps.mp4", "%03d.mp4",
    "a;touch pwned;.mp4", "$(touch pwned).mp4", "file:x.mp4", "concat|b.mp4",
]  # fmt: skip


def lip_sync(*words: str | Path) -> int:
    return main(["lipsync", "--quiet", "--device", "cpu", *map(str, words)])


@pytest.mark.parametrize(("video", "audio", "blamed", "word"), REFUSED_AT_THE_DOOR + REFUSED_WHEN_LOOKED_AT)
def test_the_command_line_says_what_is_wrong_in_one_plain_line(
    files: Path, tiny_bundle: Path, tmp_path: Path, capsys, video: str, audio: str, blamed: str, word: str
):
    out = tmp_path / "out.mp4"
    assert lip_sync("--model", tiny_bundle, files / video, files / audio, out) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("error: ")
    assert "\n" not in said
    assert "Traceback" not in said
    assert blamed in said
    assert word.lower() in said.lower()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("video", "audio", "blamed", "word"), REFUSED_AT_THE_DOOR)
def test_the_queue_refuses_it_and_keeps_nothing(
    files: Path, queue: JobQueue, video: str, audio: str, blamed: str, word: str
):
    with pytest.raises(LipSyncError) as refusal:
        queue.submit("owner", files / video, files / audio)
    assert blamed in str(refusal.value)
    assert word.lower() in str(refusal.value).lower()
    assert queue.all_jobs() == []
    assert [path for path in queue.settings.data_dir.rglob("*") if path.is_file()] == []
    assert (files / video).exists()


@pytest.mark.parametrize("name", ODD_NAMES)
def test_the_queue_takes_a_file_of_any_name(files: Path, queue: JobQueue, tmp_path: Path, name: str):
    odd = tmp_path / name
    shutil.copyfile(files / "face.mp4", odd)
    job = queue.submit("owner", odd, files / "speech.wav")
    assert job.state is JobState.QUEUED
    assert job.video.file == "input_video.mp4"
    assert "\n" not in job.video.name
    assert queue.folder(job.id).input("video").read_bytes() == odd.read_bytes()
    assert not (REPOSITORY / "pwned").exists()


@pytest.mark.parametrize("name", ODD_NAMES[1:7])
def test_the_command_line_takes_and_writes_files_of_any_name(
    files: Path, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    monkeypatch.chdir(tmp_path)  # so that a name may begin with a dash
    Path("out").mkdir()
    shutil.copyfile(files / "face.mp4", name)
    assert lip_sync("--model", tiny_bundle, "--steps", "1", "--", name, files / "speech.wav", f"out/{name}") == 0
    assert probe_media(tmp_path / "out" / name).require_video().num_frames == 10
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "out"])


def test_a_result_may_begin_with_a_dash(files: Path, tiny_bundle: Path, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ("--model", tiny_bundle, "--steps", "1", "--", files / "face.mp4", files / "speech.wav", "-out.mp4")
    assert lip_sync(*words) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["-out.mp4"]


@pytest.mark.parametrize(
    ("video", "audio", "frames"),
    [("one_frame.mp4", "speech.wav", 10), ("face.mp4", "short.wav", 5), ("one_frame.mp4", "short.wav", 5)],
)
def test_the_shortest_files_give_as_many_frames_as_there_is_sound(
    files: Path, tiny_bundle: Path, tmp_path: Path, video: str, audio: str, frames: int
):
    out = tmp_path / "out.mp4"
    assert lip_sync("--model", tiny_bundle, "--steps", "1", files / video, files / audio, out) == 0
    assert probe_media(out).require_video().num_frames == frames


def test_a_video_with_a_cut_off_tail_still_fills_the_whole_sound(files: Path, tiny_bundle: Path, tmp_path: Path):
    sound, out = REPOSITORY / "samples" / "sample.wav", tmp_path / "out.mp4"
    speech = tmp_path / "speech.wav"
    subprocess.run(["ffmpeg", "-v", "error", "-i", sound, "-t", "1.8", speech], check=True, timeout=30)
    assert lip_sync("--model", tiny_bundle, "--steps", "1", files / "cut_off.mp4", speech, out) == 0
    assert probe_media(out).require_video().num_frames == 45


def test_the_program_itself_shows_no_traceback(files: Path, tmp_path: Path):
    command = [sys.executable, "-m", "latentsync_core", "lipsync", files / "text.mp4", files / "speech.wav", "o.mp4"]
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False, env=environment
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr + done.stdout
