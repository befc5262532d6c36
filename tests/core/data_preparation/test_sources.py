"""Broken files are told from usable ones; picture and sound come out at 25 fps and 16 kHz, on one clock."""

import numpy as np
import pytest

from latentsync_core.data_preparation.broken_files import check_source, probe_source
from latentsync_core.data_preparation.dropped import Dropped
from latentsync_core.data_preparation.resampling import cut_sound, resample_picture, resample_sound
from latentsync_core.media.video_reader import VideoReader
from tests.conftest import run_ffmpeg
from tests.core.data_preparation.talking_portraits import grey, portrait, write_video


def beep_with_flash(path, fps, *output):
    """2 s of black and silence, but for 0.2 s of white and tone that begin at 1 s."""
    run_ffmpeg(
        *("-f", "lavfi", "-i", f"color=black:size=128x96:rate={fps}:duration=2"),
        *("-f", "lavfi", "-i", "sine=frequency=800:duration=2:sample_rate=44100"),
        *("-vf", "drawbox=color=white:t=fill:enable='gte(t,0.999)*lt(t,1.199)'"),
        *("-af", "volume=0:enable='lt(t,1)+gt(t,1.2)'", "-c:v", "libx264", "-preset", "ultrafast", *output, path),
    )


@pytest.mark.parametrize(
    ("name", "fps", "output"),
    [
        ("a.mp4", "25", ()),
        ("a.mp4", "30000/1001", ()),
        ("a.mkv", "50", ()),
        ("a.ts", "25", ()),  # its clock begins at 1.4 s
        ("a.mkv", "25", ("-output_ts_offset", "3")),
    ],
)
def test_picture_and_sound_stay_together_whatever_rate_and_clock(tmp_path, name, fps, output):
    beep_with_flash(tmp_path / name, fps, *output)
    source = probe_source(tmp_path / name)
    grid = resample_picture(source)
    num_frames = resample_sound(source, tmp_path / "speech.npy")
    assert float(grid.fps) == 25
    assert abs(num_frames - 50) <= 1
    with VideoReader(source.info, grid) as reader:
        bright = [index for index, frame in enumerate(reader.read(0, num_frames)) if frame.mean() > 128]
    assert bright[0] == pytest.approx(25, abs=1)
    assert len(bright) == pytest.approx(5, abs=1)
    pcm = cut_sound(np.load(tmp_path / "speech.npy"), 0, num_frames, source.sound_lead)
    loud = np.flatnonzero(np.abs(pcm.reshape(num_frames, 640)).max(axis=1) > 500)
    assert abs(loud[0] - bright[0]) <= 1


def test_sound_is_cut_at_its_frame_and_padded_with_silence():
    speech = np.arange(1, 6401, dtype=np.int16)  # 10 frames
    assert cut_sound(speech, 2, 3, 0.0).tolist() == list(range(1281, 3201))
    assert cut_sound(speech, 0, 2, 0.01)[0] == 161
    early = cut_sound(speech, -1, 2, 0.0)
    assert (len(early), early[639], early[640]) == (1280, 0, 1)
    late = cut_sound(speech, 9, 2, 0.0)
    assert (len(late), late[639], late[640]) == (1280, 6400, 0)
    assert not cut_sound(speech, 40, 2, 0.0).any()
    assert not cut_sound(speech, -9, 2, 0.0).any()


def make_bad_file(kind, path):
    if kind == "text":
        path.write_text("this is no video")
    elif kind == "empty":
        path.touch()
    elif kind == "mute":
        write_video(path, [portrait()], 0.2, tone=False)
    elif kind == "silent":
        run_ffmpeg(
            *("-f", "lavfi", "-i", "testsrc=duration=0.4:size=128x96:rate=25"),
            *("-f", "lavfi", "-i", "anullsrc=duration=0.4", "-shortest", "-pix_fmt", "yuv420p", path),
        )
    elif kind == "cut off":
        write_video(path.with_suffix(".whole.mp4"), [grey()], 0.4)
        path.write_bytes(path.with_suffix(".whole.mp4").read_bytes()[:600])
    elif kind == "sound only":
        run_ffmpeg("-f", "lavfi", "-i", "sine=duration=0.2", path)


def use(path):
    source = probe_source(path)
    check_source(source)
    resample_sound(source, path.with_name("speech.npy"))


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("text", "broken or refused"),
        ("empty", "broken or refused"),
        ("missing", "broken or refused"),
        ("cut off", "broken or refused"),
        ("mute", "no sound, or silent"),
        ("silent", "no sound, or silent"),
        ("sound only", "no moving picture"),
    ],
)
def test_a_bad_file_is_dropped_with_its_reason(tmp_path, kind, reason):
    make_bad_file(kind, tmp_path / "bad.mp4")
    with pytest.raises(Dropped) as dropped:
        use(tmp_path / "bad.mp4")
    assert dropped.value.reason == reason
