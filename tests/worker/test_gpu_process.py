"""The warm child as its parent sees it, with a scripted pipeline."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worker.conftest import REPOSITORY, make_settings, wait_until
from worker.gpu_process import ChildLost, GpuProcess
from worker.settings import Settings


@pytest.fixture
def gpu(settings: Settings) -> Iterator[GpuProcess]:
    process = GpuProcess(settings)
    yield process
    process.kill()


def test_the_queue_process_loads_neither_torch_nor_numpy():
    code = "import sys, worker.__main__, worker.rq_worker, worker.tasks; print({'torch', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_killed_child_is_reported_with_its_signal(gpu: GpuProcess):
    gpu.ensure_started()
    assert gpu.pid is not None
    os.kill(gpu.pid, signal.SIGKILL)
    with pytest.raises(ChildLost, match="SIGKILL"):
        gpu.poll(10)
    assert gpu.pid is None


def test_a_child_that_hangs_is_killed_after_its_silence(redis_url: str, tmp_path: Path):
    gpu = GpuProcess(make_settings(redis_url, tmp_path, "silent").model_copy(update={"child_silence_timeout": 1.5}))
    try:
        wait_until(lambda: gpu.ensure_started() is None and gpu.poll(0.1) == [] and bool(gpu.models), 20)
        assert gpu.pid is not None
        os.kill(gpu.pid, signal.SIGSTOP)  # as good as an interpreter that hangs in native code
        with pytest.raises(ChildLost, match="no sign of life"):
            poll_until_lost(gpu)
    finally:
        gpu.kill()


def test_the_stack_of_a_child_that_dies_in_native_code_is_logged(gpu: GpuProcess, caplog: pytest.LogCaptureFixture):
    gpu.ensure_started()
    wait_until(lambda: gpu.poll(0.1) == [] and gpu.has_spoken, 20)
    assert gpu.pid is not None
    os.kill(gpu.pid, signal.SIGSEGV)
    with pytest.raises(ChildLost, match="SIGSEGV"):
        poll_until_lost(gpu)
    stack = [record.child_traceback for record in caplog.records if hasattr(record, "child_traceback")][-1]
    assert "Fatal Python error: Segmentation fault" in stack
    assert "gpu_child.py" in stack


def test_a_child_ends_when_its_parent_is_killed():
    code = (
        "import time; from worker.gpu_process import GpuProcess; from worker.settings import Settings;"
        "gpu = GpuProcess(Settings(preload=False)); gpu.ensure_started()\n"
        "while not gpu.has_spoken: gpu.poll(0.1)\n"
        "print(gpu.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert Path(f"/proc/{child}").exists()
    parent.kill()
    parent.wait(10)
    wait_until(lambda: not Path(f"/proc/{child}").exists(), 5)


def poll_until_lost(gpu: GpuProcess) -> None:
    began = time.monotonic()
    while time.monotonic() - began < 10:
        gpu.poll(0.1)
