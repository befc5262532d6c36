"""Frames come out upright, in the right colours, at their own time, from any place."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latentsync_core.errors import UnreadableMedia
from latentsync_core.media.frame_grid import FrameGrid, lay_grid, read_frame_grid
from latentsync_core.media.probe import probe_media
from latentsync_core.media.video_reader import VideoReader
from tests.conftest import run_ffmpeg
from tests.core.clips import numbered_clip, numbered_frame, numbers_of, write_clip


def read_all(path: Path) -> tuple[FrameGrid, list[np.ndarray], int]:
    info = probe_media(path)
    grid = read_frame_grid(info)
    with VideoReader(info, grid) as reader:
        return grid, list(reader.read(0, grid.num_frames)), reader.num_held


@pytest.mark.parametrize("rate", ["24", "25", "30000/1001", "30", "50", "60"])
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_every_frame_of_a_constant_rate_comes_once(tmp_path: Path, rate: str, ending: str):
    grid, frames, held = read_all(numbered_clip(tmp_path / f"clip.{ending}", 40, rate))
    assert grid.fps == Fraction(rate)
    assert not grid.is_resampled
    assert numbers_of(frames) == list(range(40))
    assert held == 0


@pytest.mark.parametrize("ending", ["mp4", "mkv", "avi", "ts"])
def test_any_stretch_can_be_read(tmp_path: Path, ending: str):
    codec = ["-c:v", "mpeg4", "-q:v", "2"] if ending == "avi" else []
    path = numbered_clip(tmp_path / f"clip.{ending}", 60, "25", *codec)
    info = probe_media(path)
    grid = read_frame_grid(info)
    assert grid.num_frames == 60
    with VideoReader(info, grid) as reader:
        for start, stop in [(50, 60), (0, 5), (23, 27), (12, 13), (59, 60), (35, 50)]:
            assert numbers_of(reader.read(start, stop)) == list(range(start, stop))


def test_single_frames_are_picked_in_one_pass(tmp_path: Path):
    info = probe_media(numbered_clip(tmp_path / "numbers.mp4", 40, "25"))
    with VideoReader(info, read_frame_grid(info)) as reader:
        assert numbers_of(reader.pick([3, 4, 11, 29])) == [3, 4, 11, 29]
        assert numbers_of(reader.pick([0, 20])) == [0, 20]


def test_a_variable_rate_keeps_every_picture_at_its_time(tmp_path: Path):
    path = tmp_path / "vfr.mkv"
    # 20 frames at 10 per second, then 30 at 30 per second: 3 seconds
    times = "if(lt(N,20),N/10,2+(N-20)/30)/TB"
    numbered_clip(path, 50, "30", "-vf", f"setpts='{times}'", "-fps_mode", "vfr", "-c:v", "libx264", "-crf", "12")
    grid, frames, _ = read_all(path)
    assert grid.is_resampled
    assert float(grid.num_frames / grid.fps) == pytest.approx(3.0, abs=0.05)
    for second, number in [(0.55, 5), (1.95, 19), (2.25, 27), (2.75, 42)]:
        shown = numbers_of([frames[int(second * grid.fps)]])[0]
        assert abs(shown - number) <= 1


def test_a_slide_show_and_a_high_speed_film_are_brought_to_a_rate_that_shows_speech():
    slides = lay_grid(np.array([0, 1000, 2000]), 1000, Fraction(1, 1000), Fraction(1))
    assert (slides.fps, slides.num_frames) == (Fraction(25), 75)
    fast = lay_grid(np.arange(240), 1, Fraction(1, 240), Fraction(240))
    assert (fast.fps, fast.num_frames) == (Fraction(60), 60)


def test_a_rotated_video_comes_upright(tmp_path: Path):
    frame = numbered_frame(1)
    lying = write_clip(tmp_path / "lying.mp4", [frame] * 3)
    for degrees in (90, 180, 270):
        turned, upright = tmp_path / f"turned{degrees}.mp4", tmp_path / f"upright{degrees}.png"
        run_ffmpeg("-i", lying, "-c", "copy", "-metadata:s:v", f"rotate={degrees}", turned)
        run_ffmpeg("-i", turned, "-frames:v", "1", upright)  # ffmpeg's own way of turning is the oracle
        _, frames, _ = read_all(turned)
        expected = np.asarray(Image.open(upright).convert("RGB")).astype(int)
        assert frames[0].shape == expected.shape
        assert np.abs(frames[0] - expected).mean() < 4


def test_odd_sizes_are_read_as_they_are(tmp_path: Path):
    path = write_clip(
        tmp_path / "odd.mkv", [numbered_frame(n, 193, 129) for n in range(5)], "25", "-c:v", "ffv1", "-pix_fmt", "bgr0"
    )
    _, frames, _ = read_all(path)
    assert frames[0].shape == (129, 193, 3)
    assert np.abs(frames[3].astype(int) - numbered_frame(3, 193, 129)).max() <= 2


@pytest.mark.parametrize("matrix", ["bt709", "smpte170m"])
@pytest.mark.parametrize("color_range", ["tv", "pc"])
@pytest.mark.parametrize("pixels", ["yuv420p", "yuv420p10le"])
def test_colours_are_read_by_the_files_own_matrix_range_and_depth(
    tmp_path: Path, matrix: str, color_range: str, pixels: str
):
    frame = np.empty((128, 192, 3), np.uint8)
    frame[:, :64], frame[:, 64:128], frame[:, 128:] = (200, 60, 40), (40, 180, 60), (60, 50, 190)
    conversion = f"scale=out_color_matrix={matrix}:out_range={color_range},format={pixels}"
    tags = ["-colorspace", matrix, "-color_range", color_range]
    path = write_clip(tmp_path / "colour.mkv", [frame] * 3, "25", "-vf", conversion, *tags, "-c:v", "ffv1")
    _, frames, _ = read_all(path)
    for column in (32, 96, 160):
        assert np.abs(frames[1][64, column].astype(int) - frame[64, column]).max() <= 3


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
def test_hdr_is_toned_down_to_a_natural_picture(tmp_path: Path, transfer: str):
    grey_ramp = np.repeat(np.linspace(0, 255, 192).astype(np.uint8)[None, :, None], 128, 0).repeat(3, 2)
    tags = ["-colorspace", "bt2020nc", "-color_primaries", "bt2020", "-color_trc", transfer]
    conversion = "scale=out_color_matrix=bt2020,format=yuv420p10le"
    path = write_clip(tmp_path / "hdr.mkv", [grey_ramp] * 2, "25", "-vf", conversion, *tags, "-c:v", "ffv1")
    _, frames, _ = read_all(path)
    row = frames[0][64].astype(int)
    assert (np.diff(row.mean(axis=1)) >= -1).all()  # darker stays darker
    assert np.ptp(row, axis=1).max() <= 4  # grey stays grey
    diffuse_white = 0.58 if transfer == "smpte2084" else 0.75  # BT.2408
    assert 150 < row[int(diffuse_white * 191)].mean() < 235


def test_a_still_picture_gives_the_same_frame_again_and_again(tmp_path: Path):
    path = tmp_path / "photo.png"
    Image.fromarray(numbered_frame(5)).save(path)
    info = probe_media(path)
    with VideoReader(info, read_frame_grid(info)) as reader:
        frames = list(reader.read(0, 1)) + list(reader.read(0, 1))
    assert numbers_of(frames) == [5, 5]


def test_a_large_picture_is_reduced(tmp_path: Path):
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (6000, 3000), (90, 120, 150)).save(path)
    info = probe_media(path)
    with VideoReader(info, read_frame_grid(info)) as reader:
        assert (reader.width, reader.height) == (1920, 960)


def test_a_corrupt_tail_is_replaced_by_the_last_good_picture(tmp_path: Path):
    path = numbered_clip(tmp_path / "clip.mp4", 60, "25", "-c:v", "mjpeg", "-q:v", "2", "-pix_fmt", "yuvj420p")
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    middle = start + (len(data) - start) * 6 // 10
    table = data.index(b"moov")
    data[middle:table] = bytes(table - middle)
    path.write_bytes(data)
    grid, frames, held = read_all(path)
    numbers = numbers_of(frames)
    assert grid.num_frames == 60
    assert held > 10
    assert numbers[:20] == list(range(20))
    assert numbers[-1] == max(numbers)


def test_a_truncated_file_gives_what_is_there(tmp_path: Path):
    path = numbered_clip(
        tmp_path / "clip.mp4", 60, "25", "-c:v", "libx264", "-crf", "12", "-g", "12", "-movflags", "+faststart"
    )
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    grid, frames, _ = read_all(path)
    numbers = numbers_of(frames)
    assert 20 < grid.num_frames < 60
    assert numbers[:15] == list(range(15))


def test_a_file_of_which_nothing_can_be_decoded_is_refused(tmp_path: Path):
    path = numbered_clip(tmp_path / "clip.mp4", 20)
    data = bytearray(path.read_bytes())
    start, table = data.index(b"mdat") + 4, data.index(b"moov")
    data[start : table - 4] = bytes(table - 4 - start)
    path.write_bytes(data)
    with pytest.raises(UnreadableMedia):
        read_all(path)
