"""What a file holds is read rightly, and what cannot be used is refused in plain words."""

from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image

from latentsync_core.errors import NoSpeech, UnreadableMedia
from latentsync_core.media.probe import MediaLimits, probe_media
from tests.conftest import run_ffmpeg
from tests.core.clips import numbered_clip, tone


def test_a_video_tells_size_rate_and_sound(synthetic_video: Path):
    info = probe_media(synthetic_video)
    video, audio = info.require_video(), info.require_audio()
    assert (video.width, video.height, video.fps, video.num_frames) == (320, 240, Fraction(25), 50)
    assert (audio.codec, audio.profile, audio.sample_rate) == ("aac", "LC", 48000)
    assert info.duration == pytest.approx(2.0, abs=0.05)


def test_a_rotated_video_has_its_upright_size(tmp_path: Path):
    lying = numbered_clip(tmp_path / "lying.mp4", 3)
    turned = tmp_path / "turned.mp4"
    run_ffmpeg("-i", lying, "-c", "copy", "-metadata:s:v", "rotate=90", turned)
    video = probe_media(turned).require_video()
    assert (video.width, video.height) == (128, 192)
    assert video.rotation in (90, 270)


def test_a_picture_is_a_video_of_one_frame_turned_by_its_exif(tmp_path: Path):
    path = tmp_path / "photo.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (200, 100)).save(path, exif=exif)
    video = probe_media(path).require_video()
    assert video.is_picture
    assert (video.width, video.height, video.num_frames, video.fps) == (100, 200, 1, 25)


def test_a_cover_picture_is_no_video(tmp_path: Path):
    cover, song = tmp_path / "cover.png", tmp_path / "song.mp3"
    Image.new("RGB", (300, 300)).save(cover)
    plain = tone(tmp_path / "plain.mp3", 1)
    run_ffmpeg("-i", plain, "-i", cover, "-map", "0", "-map", "1", "-c", "copy", "-disposition:v", "attached_pic", song)
    info = probe_media(song)
    assert info.video is None
    with pytest.raises(UnreadableMedia, match="holds no picture"):
        info.require_video()


def test_a_video_without_sound_says_so(tmp_path: Path):
    info = probe_media(numbered_clip(tmp_path / "silent.mp4", 3))
    with pytest.raises(NoSpeech, match="no sound track"):
        info.require_audio()


def test_a_container_without_a_length_is_measured(tmp_path: Path):
    endless = numbered_clip(tmp_path / "endless.mkv", 50, "25", "-live", "1")
    assert probe_media(endless).duration == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.mp4", b"", "is empty"),
        ("text.mp4", b"this is not a film\n" * 100, "cannot be read|can be read"),
        ("noise.mp4", bytes(range(256)) * 200, "can be read"),
        ("broken.png", b"\x89PNG\r\n\x1a\n" + b"\x00" * 64, "broken picture|can be read"),
        ("list.m3u8", b"#EXTM3U\n#EXTINF:10,\n/etc/hostname\n", "can be read"),
        ("concat.mp4", b"ffconcat version 1.0\nfile /etc/hostname\n", "can be read"),
    ],
)
def test_what_is_no_media_is_refused(tmp_path: Path, name: str, content: bytes, message: str):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UnreadableMedia, match=message):
        probe_media(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path):
    for path in (tmp_path / "nothing.mp4", tmp_path):
        with pytest.raises(UnreadableMedia, match="does not exist"):
            probe_media(path)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (MediaLimits(max_bytes=100), "MiB"),
        (MediaLimits(max_seconds=1.0), "seconds long"),
        (MediaLimits(max_pixels=1000), "more than is accepted"),
        (MediaLimits(min_side=1000), "at least 1000"),
    ],
)
def test_limits_are_kept(synthetic_video: Path, limits: MediaLimits, message: str):
    with pytest.raises(UnreadableMedia, match=message):
        probe_media(synthetic_video, limits)


def test_a_picture_of_huge_dimensions_is_refused_by_its_header(tmp_path: Path):
    path = tmp_path / "huge.png"
    Image.new("1", (20000, 20000)).save(path)
    with pytest.raises(UnreadableMedia, match=r"large|more than is accepted"):
        probe_media(path)


@pytest.mark.parametrize(
    "name",
    ["with space.mp4", "quote'\".mp4", "line\nbreak.mp4", "ünïcödé 影片.mp4", "-dash.mp4", "a:b.mp4", "%03d.mp4"],
)
def test_any_file_name_is_read(synthetic_video: Path, tmp_path: Path, name: str):
    path = tmp_path / name
    path.write_bytes(synthetic_video.read_bytes())
    assert probe_media(path).require_video().width == 320


def test_messages_show_no_line_breaks_of_a_file_name(tmp_path: Path):
    path = tmp_path / "two\nlines.mp4"
    path.write_text("text")
    with pytest.raises(UnreadableMedia) as caught:
        probe_media(path)
    assert "'two?lines.mp4'" in str(caught.value)
    assert "\n" not in str(caught.value)
