"""The result: one encode with the source's colours and rate, the sound as it was given, both ending together."""

import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from skimage.data import astronaut

from latentsync_core.errors import EncodingFailed, NoSpeech, UnreadableMedia
from latentsync_core.media.audio import SAMPLE_RATE, read_speech
from latentsync_core.media.color import result_tags
from latentsync_core.media.frame_grid import read_frame_grid
from latentsync_core.media.mux import join_segments
from latentsync_core.media.preview import make_preview
from latentsync_core.media.probe import MediaInfo, probe_media
from latentsync_core.media.video_reader import VideoReader
from latentsync_core.media.video_writer import VideoWriter
from tests.conftest import run_ffmpeg
from tests.core.clips import numbered_clip, numbered_frame, numbers_of, tone, write_clip

FPS = Fraction(25)


def write_segments(source: MediaInfo, folder: Path, length: int) -> tuple[list[Path], Fraction]:
    grid = read_frame_grid(source)
    paths = []
    with VideoReader(source, grid) as reader:
        for start in range(0, grid.num_frames, length):
            path = folder / f"{start:05d}.mp4"
            with VideoWriter(path, (reader.width, reader.height), grid.fps, result_tags(source.require_video())) as out:
                for frame in reader.read(start, min(start + length, grid.num_frames)):
                    out.write(frame)
            paths.append(path)
    return paths, grid.fps


def read_back(path: Path) -> list[np.ndarray]:
    info = probe_media(path)
    grid = read_frame_grid(info)
    with VideoReader(info, grid) as reader:
        return list(reader.read(0, grid.num_frames))


def stream_durations(path: Path) -> tuple[float, float]:
    command = ["ffprobe", "-v", "error", "-show_entries", "stream=duration", "-of", "csv=p=0", str(path)]
    picture, sound = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return float(picture), float(sound)


@pytest.mark.parametrize("rate", ["24", "25", "30000/1001", "50", "60"])
def test_segments_join_without_losing_or_doubling_a_frame(tmp_path: Path, rate: str):
    source = probe_media(numbered_clip(tmp_path / "source.mp4", 70, rate))
    segments, fps = write_segments(source, tmp_path, 20)
    sound = probe_media(tone(tmp_path / "tone.wav", 5))
    join_segments(segments, sound, tmp_path / "out.mp4", num_frames=70, fps=fps)
    result = probe_media(tmp_path / "out.mp4")
    grid = read_frame_grid(result)
    assert (grid.fps, grid.num_frames, grid.start, grid.is_resampled) == (Fraction(rate), 70, 0, False)
    assert numbers_of(read_back(tmp_path / "out.mp4")) == list(range(70))
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    ("matrix", "color_range"), [("bt709", "tv"), ("smpte170m", "tv"), ("bt709", "pc"), (None, None)]
)
def test_colours_survive_and_tags_stay(tmp_path: Path, matrix: str | None, color_range: str | None):
    frame = np.ascontiguousarray(astronaut()[:256, 100:356])
    options = ["-c:v", "libx264", "-crf", "1", "-pix_fmt", "yuv420p"]
    if matrix and color_range:
        conversion = f"scale=out_color_matrix={matrix}:out_range={color_range},format=yuv420p"
        options += ["-vf", conversion, "-colorspace", matrix, "-color_range", color_range]
        options += ["-color_primaries", matrix, "-color_trc", matrix]
    source = probe_media(write_clip(tmp_path / "source.mp4", [frame] * 4, "25", *options))
    [segment], _ = write_segments(source, tmp_path, 10)
    before, after = source.require_video(), probe_media(segment).require_video()
    assert (after.color_space, after.color_range) == (matrix or "unknown", color_range or "unknown")
    assert (after.color_primaries, after.color_transfer) == (before.color_primaries, before.color_transfer)
    difference = read_back(segment)[2].astype(int) - read_back(source.path)[2]
    assert np.abs(difference).mean() < 3
    assert np.abs(difference.mean(axis=(0, 1))).max() < 0.5  # no shift of colour


def test_an_odd_size_gains_a_column_and_a_row(tmp_path: Path):
    frame = numbered_frame(3, 193, 129)
    with VideoWriter(tmp_path / "odd.mp4", (193, 129), FPS, _tags(tmp_path)) as writer:
        writer.write(frame)
    [back] = read_back(tmp_path / "odd.mp4")
    assert back.shape == (130, 194, 3)
    assert np.abs(back[:129, :193].astype(int) - frame).mean() < 4
    assert np.abs(back[129, 60:].astype(int) - back[128, 60:]).mean() < 4


def _tags(folder: Path):
    return result_tags(probe_media(numbered_clip(folder / "tags.mp4", 2)).require_video())


def test_an_error_while_writing_leaves_no_file_and_no_process(tmp_path: Path):
    writer = VideoWriter(tmp_path / "out.mp4", (192, 128), FPS, _tags(tmp_path))
    with pytest.raises(ValueError, match="expected a"), writer:
        writer.write(numbered_frame(0, 100, 100))
    assert not list(tmp_path.glob("out*"))
    assert writer._child.returncode is not None


def test_ffmpegs_own_words_are_in_the_error(tmp_path: Path):
    writer = VideoWriter(tmp_path / "nowhere" / "out.mp4", (192, 128), FPS, _tags(tmp_path))
    with pytest.raises(EncodingFailed, match="No such file"), writer:
        _write_numbered_frames(writer, 200)


def _write_numbered_frames(writer: VideoWriter, num_frames: int):
    for number in range(num_frames):
        writer.write(numbered_frame(number))


def audio_packets(path: Path) -> bytes:
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-map", "0:a", "-c", "copy", "-f", "data", "pipe:1"]
    return subprocess.run(command, capture_output=True, check=True).stdout


def test_aac_is_copied_packet_by_packet_and_stays_in_time(tmp_path: Path):
    source = probe_media(numbered_clip(tmp_path / "source.mp4", 60))
    segments, fps = write_segments(source, tmp_path, 25)
    given = tone(tmp_path / "given.m4a", 2.4, "-af", "adelay=1000:all=1", "-c:a", "aac", "-b:a", "96k")
    join_segments(segments, probe_media(given), tmp_path / "out.mp4", num_frames=60, fps=fps)
    assert audio_packets(given).startswith(audio_packets(tmp_path / "out.mp4"))
    before, after = read_speech(probe_media(given)), read_speech(probe_media(tmp_path / "out.mp4"))
    onset_before, onset_after = (np.flatnonzero(np.abs(pcm) > 0.02)[0] for pcm in (before, after))
    assert abs(int(onset_before) - int(onset_after)) <= 2
    assert onset_before / SAMPLE_RATE == pytest.approx(1.0, abs=0.005)


@pytest.mark.parametrize(("ending", "rate", "channels"), [("wav", 48000, 2), ("mp3", 44100, 2), ("flac", 16000, 1)])
def test_other_sound_becomes_aac_at_its_own_rate_and_channels(tmp_path: Path, ending: str, rate: int, channels: int):
    source = probe_media(numbered_clip(tmp_path / "source.mp4", 30))
    segments, fps = write_segments(source, tmp_path, 30)
    given = tone(tmp_path / f"given.{ending}", 2, sample_rate=rate, channels=channels)
    join_segments(segments, probe_media(given), tmp_path / "out.mp4", num_frames=30, fps=fps)
    audio = probe_media(tmp_path / "out.mp4").require_audio()
    assert (audio.codec, audio.sample_rate, audio.channels) == ("aac", rate, channels)


@pytest.mark.parametrize("rate", ["24", "25", "60"])
@pytest.mark.parametrize("codec", ["wav", "m4a"])
def test_picture_and_sound_end_within_one_frame(tmp_path: Path, rate: str, codec: str):
    source = probe_media(numbered_clip(tmp_path / "source.mp4", 33, rate))
    segments, fps = write_segments(source, tmp_path, 40)
    given = probe_media(tone(tmp_path / f"given.{codec}", 4))
    join_segments(segments, given, tmp_path / "out.mp4", num_frames=33, fps=fps)
    picture, sound = stream_durations(tmp_path / "out.mp4")
    assert picture == pytest.approx(33 / float(fps), abs=0.002)
    assert abs(picture - sound) <= 1 / fps


def test_the_result_starts_playing_while_it_loads(tmp_path: Path):
    source = probe_media(numbered_clip(tmp_path / "source.mp4", 10))
    segments, fps = write_segments(source, tmp_path, 10)
    join_segments(segments, probe_media(tone(tmp_path / "t.wav", 1)), tmp_path / "out.mp4", num_frames=10, fps=fps)
    data = (tmp_path / "out.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("ending", ["wav", "m4a", "mp3", "ogg", "mp4"])
def test_speech_is_16_khz_mono_in_its_own_time(tmp_path: Path, ending: str):
    given = tone(tmp_path / f"given.{ending}", 1.0, "-af", "adelay=500:all=1")
    pcm = read_speech(probe_media(given))
    assert pcm.dtype == np.float32
    assert len(pcm) / SAMPLE_RATE == pytest.approx(1.5, abs=0.06)
    assert np.flatnonzero(np.abs(pcm) > 0.02)[0] / SAMPLE_RATE == pytest.approx(0.5, abs=0.06)


def test_a_sound_that_starts_late_keeps_its_place(tmp_path: Path):
    video, sound = numbered_clip(tmp_path / "v.mp4", 50), tone(tmp_path / "s.m4a", 1)
    late = tmp_path / "late.mp4"
    run_ffmpeg("-i", video, "-itsoffset", "0.8", "-i", sound, "-map", "0:v", "-map", "1:a", "-c", "copy", late)
    pcm = read_speech(probe_media(late))
    assert np.flatnonzero(np.abs(pcm) > 0.02)[0] / SAMPLE_RATE == pytest.approx(0.8, abs=0.03)


def test_silence_and_missing_sound_are_told(tmp_path: Path):
    silent = tmp_path / "silent.wav"
    run_ffmpeg("-f", "lavfi", "-i", "anullsrc=r=16000:d=1", silent)
    with pytest.raises(NoSpeech, match="silent"):
        read_speech(probe_media(silent))
    with pytest.raises(NoSpeech, match="no sound track"):
        read_speech(probe_media(numbered_clip(tmp_path / "v.mp4", 2)))


def test_a_fifth_of_a_second_of_sound_is_enough(tmp_path: Path):
    assert len(read_speech(probe_media(tone(tmp_path / "short.wav", 0.2)))) == 3200


def test_a_preview_is_small_h264_for_any_browser(tmp_path: Path):
    source = tmp_path / "large.mkv"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=size=1920x1081:rate=25:duration=0.4", "-c:v", "ffv1", source)
    make_preview(source, tmp_path / "preview.mp4")
    video = probe_media(tmp_path / "preview.mp4").require_video()
    assert (video.codec, video.pix_fmt, video.width) == ("h264", "yuv420p", 960)


def test_a_preview_of_a_broken_file_is_refused(tmp_path: Path):
    (tmp_path / "text.mp4").write_text("text")
    with pytest.raises(UnreadableMedia):
        make_preview(tmp_path / "text.mp4", tmp_path / "preview.mp4")
    assert not list(tmp_path.glob("preview*"))
