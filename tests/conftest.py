"""What all tests share: marks that skip what this machine cannot do, and small synthetic clips."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
SAMPLE_VIDEO = REPOSITORY / "samples" / "sample.mp4"
SAMPLE_AUDIO = REPOSITORY / "samples" / "sample.wav"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip `gpu` tests where there is no CUDA device."""
    gpu_items = [item for item in items if item.get_closest_marker("gpu")]
    if not gpu_items:
        return
    import torch  # here, because most test files never need it

    if not torch.cuda.is_available():
        for item in gpu_items:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture
def one_torch_thread() -> Iterator[None]:
    """Tiny networks gain nothing from more, and threads that wait for each other on a busy machine lose minutes."""
    import torch  # here, because most test files never need it

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def run_ffmpeg(*arguments: str | Path) -> None:
    """Run ffmpeg quietly, overwriting; its stderr is in the error.

    Raises:
        AssertionError: if ffmpeg fails.
    """
    command = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin", "-y", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr


@pytest.fixture
def synthetic_video(tmp_path: Path) -> Path:
    """A moving test picture without a face: 2 s, 25 fps, 320x240, H.264, with a 440 Hz tone."""
    path = tmp_path / "synthetic.mp4"
    run_ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=2"),
        *("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=2"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-shortest", path),
    )
    return path


@pytest.fixture
def sample_video() -> Path:
    """The bundled sample: one face, 25 fps."""
    assert SAMPLE_VIDEO.is_file(), f"{SAMPLE_VIDEO} is part of the repository"
    return SAMPLE_VIDEO


@pytest.fixture
def sample_audio() -> Path:
    """The bundled sample: speech."""
    assert SAMPLE_AUDIO.is_file(), f"{SAMPLE_AUDIO} is part of the repository"
    return SAMPLE_AUDIO


@pytest.fixture(scope="session")
def redis_server_program() -> str:
    """The real redis-server; tests of the queue start their own on a socket of theirs."""
    program = shutil.which("redis-server")
    assert program, "redis-server is missing: `make setup-dev` installs it"
    return program
