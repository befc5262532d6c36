"""A whole run: the right frames, the given sound, nothing touched that need not be."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latentsync_core.errors import BadOption, FaceNotFound, LipSyncError, NoSpeech, UnreadableMedia
from latentsync_core.media.frame_grid import read_frame_grid
from latentsync_core.media.probe import probe_media
from latentsync_core.media.video_reader import VideoReader
from latentsync_core.options import LipSyncOptions
from latentsync_core.pipeline import LipSyncPipeline
from latentsync_core.progress import Progress
from tests.conftest import run_ffmpeg
from tests.core.clips import Frame, tone, write_clip
from tests.core.pipeline.conftest import SIZE, empty_frame, face_frame
from tests.tiny_bundle import write_tiny_bundle


def source_frames(path: Path) -> list[Frame]:
    info = probe_media(path)
    grid = read_frame_grid(info)
    with VideoReader(info, grid) as reader:
        return list(reader.read(0, grid.num_frames))


def changed(before: Frame, after: Frame) -> np.ndarray:
    return (before != after).any(axis=-1)


def test_a_run_replaces_the_mouth_and_nothing_else(
    pipeline: LipSyncPipeline, face_clip: Path, speech: Path, tmp_path: Path, composed: dict[int, Frame]
):
    told: list[Progress] = []
    report = pipeline.run(face_clip, speech, tmp_path / "out.mp4", on_progress=told.append)
    assert (report.frames, report.fps, report.width, report.height) == (25, 25.0, SIZE, SIZE)
    assert (report.frames_with_face, report.frames_without_face, report.shots) == (25, 0, 1)
    assert sorted(composed) == list(range(25))
    for before, index in zip(source_frames(face_clip), range(25), strict=False):
        touched = changed(before, composed[index])
        assert 0.02 < touched.mean() < 0.5
        assert not touched[: SIZE // 4].any()  # the forehead and above
    assert [p.stage for p in told if p.stage in ("probe", "audio", "finish")] == ["probe", "audio", "finish"]
    generated = [p.frames_done for p in told if p.stage == "diffusion"]
    assert generated == sorted(generated)
    assert generated[-1] == told[-1].frames_total == 25
    assert report.seconds_per_stage.keys() >= {"face", "decode", "diffusion", "paste", "encode"}


def test_the_result_is_h264_with_the_sound_as_given(
    pipeline: LipSyncPipeline, face_clip: Path, speech: Path, tmp_path: Path
):
    pipeline.run(face_clip, speech, tmp_path / "out.mp4")
    result, given = probe_media(tmp_path / "out.mp4"), probe_media(speech)
    video, audio = result.require_video(), result.require_audio()
    assert (video.codec, video.pix_fmt, video.num_frames, video.fps) == ("h264", "yuv420p", 25, Fraction(25))
    assert (audio.codec, audio.sample_rate, audio.channels) == ("aac", 48000, 2)
    assert audio.duration == pytest.approx(given.require_audio().duration, abs=0.04)


def test_a_fixed_reference_frame_works_too(
    anchored_pipeline: LipSyncPipeline, face_clip: Path, speech: Path, tmp_path: Path, composed: dict[int, Frame]
):
    report = anchored_pipeline.run(face_clip, speech, tmp_path / "out.mp4")
    assert report.guidance == 1.5
    assert all(changed(face, composed[index]).any() for index, face in enumerate(source_frames(face_clip)[:25]))


def test_frames_without_a_face_pass_through_bit_exact(
    pipeline: LipSyncPipeline, speech: Path, tmp_path: Path, composed: dict[int, Frame]
):
    frames = (
        [empty_frame(n) for n in range(8)] + [face_frame(n) for n in range(10)] + [empty_frame(n) for n in range(7)]
    )
    clip = write_clip(tmp_path / "scenes.mp4", frames)
    report = pipeline.run(clip, speech, tmp_path / "out.mp4")
    assert (report.frames_with_face, report.frames_without_face) == (10, 15)
    for index, before in enumerate(source_frames(clip)):
        assert changed(before, composed[index]).any() == (8 <= index < 18)


def test_a_head_turned_further_than_the_bundle_draws_is_shown_as_it_was(
    face_clip: Path, speech: Path, tmp_path: Path, composed: dict[int, Frame]
):
    bundle = write_tiny_bundle(tmp_path / "bundle", max_yaw=0.0)  # the clip's face looks straight ahead
    report = LipSyncPipeline.from_bundle(bundle, device="cpu").run(face_clip, speech, tmp_path / "out.mp4")
    assert (report.frames_with_face, report.frames_turned_away) == (25, 25)
    assert any("in 25 of 25 frames the head is turned further" in warning for warning in report.warnings)
    assert not any(changed(face, composed[index]).any() for index, face in enumerate(source_frames(face_clip)[:25]))


def test_a_video_without_any_face_is_an_error_that_counts(
    pipeline: LipSyncPipeline, synthetic_video: Path, speech: Path, tmp_path: Path
):
    with pytest.raises(FaceNotFound, match="25 frames") as caught:
        pipeline.run(synthetic_video, speech, tmp_path / "out.mp4")
    assert caught.value.frames_looked_at == 25
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize("rate", ["24", "50", "60000/1001"])
def test_the_frame_rate_is_kept(
    pipeline: LipSyncPipeline, tmp_path: Path, speech: Path, rate: str, composed: dict[int, Frame]
):
    clip = write_clip(tmp_path / "clip.mp4", [face_frame(number) for number in range(40)], rate)
    sound = tone(tmp_path / "short.wav", 0.6)
    report = pipeline.run(clip, sound, tmp_path / "out.mp4")
    result = read_frame_grid(probe_media(tmp_path / "out.mp4"))
    assert result.fps == Fraction(rate)
    assert result.num_frames == report.frames == pytest.approx(0.6 * float(Fraction(rate)), abs=1)
    assert report.frames_with_face == report.frames
    assert all(changed(face, composed[i]).any() for i, face in enumerate(source_frames(clip)[: report.frames]))


def test_longer_sound_goes_back_and_forth(
    pipeline: LipSyncPipeline, tmp_path: Path, face_clip: Path, composed: dict[int, Frame]
):
    report = pipeline.run(face_clip, tone(tmp_path / "long.wav", 3.0), tmp_path / "out.mp4")
    assert report.frames == report.frames_with_face == 75
    assert report.frames_detected_on == 30
    before = source_frames(face_clip)
    order = [*range(30), *range(29, -1, -1), *range(15)]
    for index, source in enumerate(order):
        assert not changed(before[source], composed[index])[: SIZE // 4].any()


def test_shorter_sound_lets_the_rest_pass_if_asked(
    pipeline: LipSyncPipeline, tmp_path: Path, face_clip: Path, composed: dict[int, Frame]
):
    options = LipSyncOptions(audio_shorter="pass")
    report = pipeline.run(face_clip, tone(tmp_path / "short.wav", 0.4), tmp_path / "out.mp4", options)
    assert (report.frames, report.frames_with_face, report.frames_without_face) == (30, 10, 20)
    for index, before in enumerate(source_frames(face_clip)):
        assert changed(before, composed[index]).any() == (index < 10)


def test_a_still_picture_speaks(pipeline: LipSyncPipeline, tmp_path: Path, speech: Path):
    Image.fromarray(face_frame(0)).save(tmp_path / "photo.png")
    report = pipeline.run(tmp_path / "photo.png", speech, tmp_path / "out.mp4")
    assert (report.frames, report.fps, report.frames_with_face) == (25, 25.0, 25)
    assert read_frame_grid(probe_media(tmp_path / "out.mp4")).num_frames == 25


def test_one_frame_of_video_and_a_fifth_of_a_second_of_sound_are_enough(pipeline: LipSyncPipeline, tmp_path: Path):
    clip = write_clip(tmp_path / "one.mp4", [face_frame(0)])
    report = pipeline.run(clip, tone(tmp_path / "short.wav", 0.2), tmp_path / "out.mp4")
    assert report.frames == report.frames_with_face == 5


def test_odd_turned_deep_pictures_come_out_upright_and_even(pipeline: LipSyncPipeline, tmp_path: Path):
    lying = [np.ascontiguousarray(np.rot90(face_frame(n, 225, 227))) for n in range(6)]
    codec = ("-c:v", "libx265", "-x265-params", "log-level=none", "-pix_fmt", "yuv444p10le", "-tag:v", "hvc1")
    clip, turned = write_clip(tmp_path / "lying.mp4", lying, "25", *codec), tmp_path / "turned.mp4"
    run_ffmpeg("-i", clip, "-c", "copy", "-metadata:s:v", "rotate=90", turned)
    report = pipeline.run(turned, tone(tmp_path / "short.wav", 0.2), tmp_path / "out.mp4")
    assert (report.width, report.height) == (226, 228)
    assert report.frames_with_face == 5
    assert {word for warning in report.warnings for word in ("8 bits", "even sides") if word in warning} == {
        "8 bits",
        "even sides",
    }


def test_a_videos_own_sound_can_be_the_speech(pipeline: LipSyncPipeline, tmp_path: Path, face_clip: Path, speech: Path):
    talking = tmp_path / "talking.mp4"
    run_ffmpeg("-i", face_clip, "-i", speech, "-map", "0:v", "-map", "1:a", "-c", "copy", talking)
    assert pipeline.run(talking, talking, tmp_path / "out.mp4").frames == 25


def test_the_result_may_not_overwrite_its_input(pipeline: LipSyncPipeline, face_clip: Path, speech: Path):
    with pytest.raises(BadOption, match="overwrite"):
        pipeline.run(face_clip, speech, face_clip)


def test_names_may_hold_anything(pipeline: LipSyncPipeline, tmp_path: Path, face_clip: Path):
    folder = tmp_path / 'it\'s a "folder"\nwith ünïcödé'
    folder.mkdir()
    video, audio = folder / "-face 'x'.mp4", folder / "a%03d:b.wav"
    video.write_bytes(face_clip.read_bytes())
    audio.write_bytes(tone(tmp_path / "t.wav", 0.3).read_bytes())
    out = folder / "-out's.mp4"
    pipeline.run(video, audio, out, work_dir=folder / "work 'dir'")
    assert read_frame_grid(probe_media(out)).num_frames == 8


@pytest.mark.parametrize(
    ("make_video", "make_audio", "error"),
    [
        (lambda p: _write(p / "v.mp4", b""), None, UnreadableMedia),
        (lambda p: _write(p / "v.mp4", b"text" * 100), None, UnreadableMedia),
        (lambda p: tone(p / "only_sound.mp4", 1, "-vn"), None, UnreadableMedia),
        (None, lambda p: _write(p / "a.wav", b"RIFF"), UnreadableMedia),
        (None, lambda p: _silence(p / "a.wav"), NoSpeech),
        (None, lambda p: write_clip(p / "a.mp4", [empty_frame(0)]), NoSpeech),
    ],
)
def test_bad_input_is_a_typed_error(
    pipeline: LipSyncPipeline, tmp_path: Path, face_clip: Path, speech: Path, make_video, make_audio, error
):
    video = make_video(tmp_path) if make_video else face_clip
    audio = make_audio(tmp_path) if make_audio else speech
    with pytest.raises(error) as caught:
        pipeline.run(video, audio, tmp_path / "out.mp4")
    assert isinstance(caught.value, LipSyncError)
    assert not list(tmp_path.glob("out*"))


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _silence(path: Path) -> Path:
    run_ffmpeg("-f", "lavfi", "-i", "anullsrc=r=16000:d=1", path)
    return path
