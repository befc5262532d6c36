"""The whole preparation on small made-up footage: what is kept, what is dropped and why, and that it can be resumed."""

import csv
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import psutil
import pytest

from latentsync_core.cli import main
from latentsync_core.data_preparation import video_steps
from latentsync_core.data_preparation.disturbance import sound_delay
from latentsync_core.data_preparation.face_mesh import LIP_POINTS
from latentsync_core.data_preparation.options import PrepareOptions
from latentsync_core.data_preparation.parallel import CRASHED, prepare_all
from latentsync_core.data_preparation.prepare import prepare_videos
from latentsync_core.data_preparation.raw_videos import RawVideo, list_raw_videos
from latentsync_core.data_preparation.sync_offset import SyncOffset
from latentsync_core.data_preparation.tally import ClipRow, VideoResult
from latentsync_core.data_preparation.visual_quality import Sharpness
from latentsync_core.errors import BadOption
from latentsync_core.training.face_clips import read_face_clips
from tests.conftest import REPOSITORY
from tests.core.data_preparation.talking_portraits import grey, portrait, two_people, write_video

SHORT = PrepareOptions(min_seconds=0.3, max_seconds=0.6)


@pytest.fixture(scope="module")
def raw_dir(tmp_path_factory):
    """Ann in two shots at 30 fps, then a shot without a face; two people; and a file that is none."""
    root = tmp_path_factory.mktemp("raw")
    write_video(
        root / "ann" / "talk.mp4", [portrait(), np.ascontiguousarray(portrait()[:, ::-1]), grey()], 0.4, fps="30"
    )
    write_video(root / "pair.mp4", [two_people()])
    (root / "broken.mp4").write_text("no video")
    return root


def folder_contents(root):
    """Every prepared array and meta, for comparison; records hold no times, so they compare as well."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != "summary.html"
    }


@pytest.fixture(scope="module")
def prepared(raw_dir, tmp_path_factory):
    out = tmp_path_factory.mktemp("prepared")
    return out, prepare_videos(raw_dir, out, SHORT)


def test_every_step_says_what_came_in_what_went_out_and_why_the_rest_did_not(prepared):
    _, run = prepared
    assert [(tally.came_in, tally.went_out, tally.dropped) for tally in run.tallies] == [
        (3, 2, {"broken or refused": 1}),
        (2, 2, {}),
        (2, 4, {}),
        (4, 4, {}),
        (4, 2, {"no face": 1, "several faces": 1}),
        (2, 2, {}),
        (2, 2, {}),
    ]


def test_what_is_kept_is_what_training_reads(prepared):
    out, _ = prepared
    clips = read_face_clips(out)
    assert [(clip.folder.name, clip.identity, clip.num_frames) for clip in clips] == [
        ("ann__talk-000", "ann", 10),
        ("ann__talk-001", "ann", 10),
    ]
    for clip in clips:
        assert clip.crops.shape == (10, 256, 256, 3)
        assert clip.mesh.shape == (10, 468, 2)
        assert clip.pcm.shape == (10 * 640,)
        assert clip.mesh[:, list(LIP_POINTS)].mean(axis=(0, 1)) == pytest.approx([128, 160], abs=16)


def test_manifest_and_summary_hold_every_clip(prepared):
    out, run = prepared
    rows = list(csv.DictReader((out / "manifest.csv").open()))
    assert [(row["clip"], row["state"], row["reason"]) for row in rows] == [
        ("ann__talk-000", "kept", ""),
        ("ann__talk-001", "kept", ""),
        ("ann__talk-002", "dropped", "no face"),
        ("broken", "dropped", "broken or refused"),
        ("pair-000", "dropped", "several faces"),
    ]
    assert float(rows[0]["face_px"]) > 100
    assert float(rows[0]["quality"]) > 1.5
    assert rows[0]["source_fps"] == "30.0"
    assert run.audit.people == 1
    page = (out / "summary.html").read_text()
    assert "data:image/png;base64," in page
    assert "http" not in page


def test_a_second_run_does_nothing_again(raw_dir, prepared, monkeypatch):
    out, first = prepared
    before = folder_contents(out)
    monkeypatch.setattr(video_steps, "_take_through", None)
    second = prepare_videos(raw_dir, out, SHORT)
    assert second.videos_done_before == 3
    assert (second.rows, second.tallies) == (first.rows, first.tallies)
    assert folder_contents(out) == before


def test_processes_give_what_one_gives(raw_dir, prepared, tmp_path):
    out, first = prepared
    second = prepare_videos(raw_dir, tmp_path, replace(SHORT, workers=2))
    assert second.rows == first.rows
    assert folder_contents(out).keys() == folder_contents(tmp_path).keys()
    arrays = [name for name in folder_contents(out) if name.endswith(".npy")]
    assert arrays
    assert all((out / name).read_bytes() == (tmp_path / name).read_bytes() for name in arrays)


@pytest.mark.parametrize("stage", ["_measure_offset", "cut_sound"])
def test_a_run_that_ends_anywhere_goes_on_without_looking_at_a_face_twice(
    raw_dir, prepared, tmp_path, monkeypatch, stage
):
    out, first = prepared

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(video_steps, stage, stop)
        with pytest.raises(KeyboardInterrupt):
            prepare_videos(raw_dir, tmp_path, SHORT)
    looked_at = []
    look = video_steps.look_for_faces
    monkeypatch.setattr(video_steps, "look_for_faces", lambda *given: looked_at.append(1) or look(*given))
    second = prepare_videos(raw_dir, tmp_path, SHORT)
    assert len(looked_at) == 3  # of four segments: the first one was done
    assert (second.rows, second.tallies) == (first.rows, first.tallies)
    assert folder_contents(tmp_path) == folder_contents(out)


def test_a_killed_run_goes_on(raw_dir, prepared, tmp_path):
    out, first = prepared
    command = [sys.executable, "-m", "latentsync_core", "prepare", raw_dir, tmp_path, "--workers", "1"]
    command += ["--min-seconds", "0.3", "--max-seconds", "0.6"]
    child = subprocess.Popen(list(map(str, command)), cwd=REPOSITORY, stdout=subprocess.DEVNULL)
    record = tmp_path / ".steps" / "ann__talk" / "ann__talk-000.faces.json"
    give_up = time.monotonic() + 60
    while not record.exists() and child.poll() is None and time.monotonic() < give_up:
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait(30)
    assert record.exists()
    written = record.stat().st_mtime_ns
    second = prepare_videos(raw_dir, tmp_path, SHORT)
    assert record.stat().st_mtime_ns == written
    assert second.rows == first.rows
    assert folder_contents(tmp_path) == folder_contents(out)


def test_other_limits_are_applied_without_measuring_again_and_leave_nothing_behind(
    raw_dir, prepared, tmp_path, monkeypatch
):
    prepare_videos(raw_dir, tmp_path, SHORT)
    with monkeypatch.context() as patch:
        patch.setattr(video_steps, "look_for_faces", None)
        strict = prepare_videos(raw_dir, tmp_path, replace(SHORT, min_quality=1000.0))
    assert strict.tallies[-1].dropped == {"low visual quality": 2}
    assert [path.name for path in tmp_path.glob("*/meta.json")] == []
    again = prepare_videos(raw_dir, tmp_path, SHORT)
    assert again.rows == prepared[1].rows


def test_sound_is_shifted_by_the_measured_offset_only_if_asked(raw_dir, prepared, tmp_path, monkeypatch):
    class TwoFramesLate:
        name = "test"

        def measure_offset(self, clip):
            return SyncOffset(2, 0.9)

    monkeypatch.setattr(
        "latentsync_core.data_preparation.parallel._meters", lambda *_: video_steps.Meters(TwoFramesLate(), Sharpness())
    )
    run = prepare_videos(raw_dir, tmp_path, replace(SHORT, offsets="correct"))
    assert [row.sync_shift for row in run.rows if row.state == "kept"] == [2, 2]
    unshifted = np.load(prepared[0] / "ann__talk-000" / "pcm.npy")
    shifted = np.load(tmp_path / "ann__talk-000" / "pcm.npy")
    assert np.array_equal(shifted[:-1280], unshifted[1280:])
    assert shifted[-1280:].any()  # from beyond the clip, not silence


def test_sound_is_disturbed_by_the_same_number_of_frames_for_all_clips_of_a_video(raw_dir, prepared, tmp_path):
    def delay_of(name, split="train"):
        return sound_delay(RawVideo(raw_dir / name, name, "someone", split), 3)

    delays = [delay_of(f"video{number}") for number in range(100)]
    assert set(delays) == {-3, -2, -1, 0, 1, 2, 3}
    assert delay_of("video0", "val") == 0
    delay = delay_of("ann__talk")
    assert delay != 0  # else this video shows nothing
    run = prepare_videos(raw_dir, tmp_path, replace(SHORT, disturb=3))
    assert [row.sound_delay for row in run.rows if row.state == "kept"] == [delay, delay]
    before, after = (np.load(root / "ann__talk-001" / "pcm.npy") for root in (prepared[0], tmp_path))
    samples = abs(delay) * 640
    late, early = (after, before) if delay > 0 else (before, after)
    assert np.array_equal(late[samples:], early[:-samples])


def test_offsets_before_alignment_are_measured_on_boxes_and_applied_to_aligned_faces(
    raw_dir, prepared, tmp_path, monkeypatch
):
    seen = []

    class OneFrameLate:
        name = "test"

        def measure_offset(self, clip):
            seen.append(np.array(clip.crops))
            return SyncOffset(1, 0.9)

    meters = video_steps.Meters(OneFrameLate(), Sharpness())
    monkeypatch.setattr("latentsync_core.data_preparation.parallel._meters", lambda *_: meters)
    prepare_videos(raw_dir, tmp_path / "before", replace(SHORT, offsets="before"))
    prepare_videos(raw_dir, tmp_path / "boxes", replace(SHORT, alignment="box"))
    clip = "ann__talk-000"
    aligned = np.load(prepared[0] / clip / "crops.npy")
    boxes = np.load(tmp_path / "boxes" / clip / "crops.npy")
    assert np.array_equal(np.load(tmp_path / "before" / clip / "crops.npy"), aligned)
    assert np.array_equal(seen[0], boxes)
    assert not np.array_equal(boxes, aligned)
    shifted, plain = (np.load(root / clip / "pcm.npy") for root in (tmp_path / "before", prepared[0]))
    assert np.array_equal(shifted[:-640], plain[640:])
    assert {path.name for path in (tmp_path / "before" / clip).iterdir()} == {
        "crops.npy", "mesh.npy", "pcm.npy", "meta.json",
    }  # fmt: skip
    mesh = np.load(tmp_path / "boxes" / clip / "mesh.npy")
    assert mesh.min((0, 1)) == pytest.approx([-0.5, -0.5], abs=4)  # the face fills its box
    assert mesh.max((0, 1)) == pytest.approx([255.5, 255.5], abs=4)


def test_a_copy_by_hard_links_is_prepared_in_another_way_without_touching_the_first(raw_dir, tmp_path, monkeypatch):
    prepare_videos(raw_dir, tmp_path / "first", SHORT)
    before = folder_contents(tmp_path / "first")
    shutil.copytree(tmp_path / "first", tmp_path / "copy", copy_function=os.link)
    monkeypatch.setattr(video_steps, "look_for_faces", None)  # nothing is looked at again
    prepare_videos(raw_dir, tmp_path / "copy", replace(SHORT, disturb=3))
    clip = "ann__talk-000"
    assert folder_contents(tmp_path / "first") == before
    assert (tmp_path / "copy" / clip / "pcm.npy").read_bytes() != before[f"{clip}/pcm.npy"]


def test_a_manifest_of_finished_clips_is_taken_as_it_is(raw_dir, tmp_path):
    """The first form of `prepare`: whole clips, identity and split given, folders named after the files."""
    raw = tmp_path / "raw"
    raw.mkdir()
    write_video(raw / "face.mp4", [portrait()], 0.4)
    write_video(raw / "grey.mp4", [grey()], 0.4)
    (raw / "manifest.csv").write_text(
        "clip,identity,split,kind,source\nface.mp4,ann,val,real,here\ngrey.mp4,bob,train,generated,there\n"
    )
    out = tmp_path / "out"
    run = prepare_videos(raw, out, PrepareOptions())
    assert [(row.clip, row.state) for row in run.rows] == [("face", "kept"), ("grey", "dropped")]
    meta = json.loads((out / "face" / "meta.json").read_text())
    assert (meta["identity"], meta["split"], meta["kind"], meta["frames"]) == ("ann", "val", "real", 10)
    assert meta["source"].endswith("face.mp4")


def test_footage_is_not_taken_as_one_whole_clip(tmp_path, monkeypatch):
    write_video(tmp_path / "raw" / "long.mp4", [portrait()], 0.4)
    monkeypatch.setattr(video_steps, "WHOLE_AT_MOST", 0.3)
    run = prepare_videos(tmp_path / "raw", tmp_path / "out", PrepareOptions(clips="whole"))
    assert [(row.clip, row.reason) for row in run.rows] == [("long", "too long for a whole clip")]


def test_clips_of_a_forerunner_are_left_as_they_are(tmp_path):
    raw, out = tmp_path / "raw", tmp_path / "out"
    (out / "face").mkdir(parents=True)
    raw.mkdir()
    (raw / "manifest.csv").write_text("clip,identity,split,kind\nface.mp4,ann,val,real\n")
    (out / "face" / "meta.json").write_text('{"frames": 50}')
    run = prepare_videos(raw, out, PrepareOptions())
    assert [(row.clip, row.state, row.seconds) for row in run.rows] == [("face", "kept", 2.0)]
    assert (out / "face" / "meta.json").read_text() == '{"frames": 50}'


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(raw_dir, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["prepare", str(raw_dir), str(out), "--dry-run", "--min-seconds", "0.3", "--max-seconds", "0.6"]) == 0
    said = capsys.readouterr().out
    assert "3 videos: 2 readable, 1 would be dropped by probing" in said
    assert "1 are not 25 fps" in said
    assert "broken.mp4: broken or refused" in said
    assert not out.exists()


def test_mistakes_are_told_in_one_line(raw_dir, tmp_path, capsys):
    for arguments, message in (
        ([tmp_path / "missing", tmp_path], "is not a folder"),
        ([raw_dir, raw_dir], "must be two folders"),
        ([raw_dir, tmp_path, "--resolution", "300"], "resolution must be one of"),
        ([raw_dir, tmp_path, "--workers", "0"], "workers must be at least 1"),
        ([raw_dir, tmp_path, "--syncnet", tmp_path / "none"], "no such weights file"),
    ):
        assert main(["prepare", *map(str, arguments)]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert "Traceback" not in error


def test_two_runs_into_one_folder_are_refused(raw_dir, tmp_path):
    (tmp_path / ".steps").mkdir()
    with (tmp_path / ".steps" / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(BadOption, match="another `prepare` is at work"):
            prepare_videos(raw_dir, tmp_path, SHORT)


def test_a_file_that_kills_its_process_is_dropped_and_the_others_are_not(raw_dir, tmp_path, monkeypatch):
    monkeypatch.setattr("latentsync_core.data_preparation.parallel._prepare", die_at_broken)
    run = prepare_all(list_raw_videos(raw_dir, 0.1), tmp_path, replace(SHORT, workers=2))
    results = {video.name: result for video, result in run}
    assert {name: result.rows[0].reason for name, result in results.items()} == {
        "ann__talk": "fine",
        "broken": CRASHED,
        "pair": "fine",
    }


def die_at_broken(video, out_dir, options):
    if video.name == "broken":
        os._exit(1)
    row = ClipRow(video.name, "", "", "", "", "", reason="fine")
    return VideoResult(0.0, (row,), ())


POOL = """
import sys, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from latentsync_core.data_preparation.parallel import begin_process
import os
import shutil
if __name__ == "__main__":
    pool = ProcessPoolExecutor(1, get_context("spawn"), initializer=begin_process)
    print(pool.submit(os.getpid).result(), flush=True)
    pool.submit(time.sleep, 60)
    time.sleep(60)
"""


def test_processes_end_with_the_one_that_started_them(tmp_path):
    (tmp_path / "pool.py").write_text(POOL)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    parent = subprocess.Popen(
        [sys.executable, tmp_path / "pool.py"], stdout=subprocess.PIPE, env=environment, text=True
    )
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.send_signal(signal.SIGKILL)
    parent.wait(30)
    parent.stdout.close()
    psutil.wait_procs([child], timeout=20)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_records_of_another_version_are_not_read(raw_dir, prepared, tmp_path, monkeypatch):
    shutil.copytree(prepared[0], tmp_path / "out")
    record = tmp_path / "out" / ".steps" / "ann__talk" / "ann__talk-000.faces.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "found": {"unknown": 1}}))
    monkeypatch.setattr("latentsync_core.data_preparation.step_records.VERSION", 0)
    assert prepare_videos(raw_dir, tmp_path / "out", SHORT).rows == prepared[1].rows
