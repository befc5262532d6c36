"""Files as people really bring them, and the two doors they come in by: the command line and the queue."""

import struct
import wave
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import SAMPLE_AUDIO, SAMPLE_VIDEO, run_ffmpeg
from tests.private_redis import private_redis
from tests.tiny_bundle import write_tiny_bundle
from worker.job_queue import JobQueue
from worker.settings import Settings


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that runs in no time."""
    return write_tiny_bundle(tmp_path_factory.mktemp("tiny") / "tiny")


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of good and bad files, made once; tests copy what they rename."""
    folder = tmp_path_factory.mktemp("files")
    h264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
    run_ffmpeg("-i", SAMPLE_VIDEO, "-t", "0.4", *h264, "-movflags", "+faststart", folder / "face.mp4")
    run_ffmpeg("-i", SAMPLE_VIDEO, "-t", "2", *h264, "-movflags", "+faststart", "-g", "10", folder / "long.mp4")
    run_ffmpeg("-i", SAMPLE_VIDEO, "-frames:v", "1", *h264, folder / "one_frame.mp4")
    run_ffmpeg("-i", SAMPLE_AUDIO, "-ss", "0.3", "-t", "0.4", folder / "speech.wav")
    run_ffmpeg("-i", SAMPLE_AUDIO, "-ss", "0.3", "-t", "0.2", folder / "short.wav")
    run_ffmpeg("-i", SAMPLE_AUDIO, "-t", "1", "-c:a", "aac", folder / "sound_only.mp4")
    run_ffmpeg("-f", "lavfi", "-i", "color=gray:size=320x240:rate=25:duration=0.4", *h264, folder / "no_face.mp4")
    run_ffmpeg("-f", "lavfi", "-i", "color=gray:size=5000x3000:rate=25:duration=0.08", *h264, folder / "huge.mp4")
    (folder / "empty.mp4").touch()
    (folder / "empty.wav").touch()
    (folder / "text.mp4").write_text("Dear reader, this is not a film.\n" * 50)
    (folder / "text.wav").write_text("Nor can this be heard.\n" * 50)
    long = (folder / "long.mp4").read_bytes()
    (folder / "cut_off.mp4").write_bytes(long[: len(long) * 6 // 10])  # its index, in front, still tells of 2 s
    (folder / "no_index.mp4").write_bytes(SAMPLE_VIDEO.read_bytes()[:700])
    write_silence(folder / "silence.wav", seconds=1.0)
    write_huge_png(folder / "huge.png", side=60_000)
    return folder


def write_silence(path: Path, seconds: float) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(2 * int(16_000 * seconds)))


def write_huge_png(path: Path, side: int) -> None:
    """A picture of a few bytes whose header promises side x side pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(64))) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with private_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def queue(redis_url: str, tmp_path: Path) -> JobQueue:
    """An empty queue."""
    JobQueue(Settings(redis_url=redis_url)).store.redis.flushall()
    return JobQueue(Settings(redis_url=redis_url, data_dir=tmp_path / "jobs", min_free_bytes=0))
