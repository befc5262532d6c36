"""Clips for the tests of media and pipeline: frames that carry their own number, tones, and a moving face."""

import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.conftest import run_ffmpeg

BIT_SIZE = 16
NUM_BITS = 8

Frame = NDArray[np.uint8]


def numbered_frame(number: int, width: int = 192, height: int = 128) -> Frame:
    """Draw a frame whose upper left corner says its number in black and white blocks, first bit first."""
    x, y = np.meshgrid(np.linspace(40, 200, width), np.linspace(40, 200, height))
    frame = np.stack([x, y, np.full_like(x, 128)], axis=-1).astype(np.uint8)
    for bit in range(NUM_BITS):
        frame[:BIT_SIZE, bit * BIT_SIZE : (bit + 1) * BIT_SIZE] = 235 if number >> bit & 1 else 20
    return frame


def number_of(frame: Frame) -> int:
    """Read back the number of a frame, also after lossy encoding."""
    middle = BIT_SIZE // 2
    bits = [frame[middle, bit * BIT_SIZE + middle].mean() > 128 for bit in range(NUM_BITS)]
    return sum(1 << bit for bit, is_set in enumerate(bits) if is_set)


def numbers_of(frames: Iterable[Frame]) -> list[int]:
    """Read back the numbers of several frames."""
    return [number_of(frame) for frame in frames]


def write_clip(path: Path, frames: Sequence[Frame], fps: str = "25", *options: str | Path) -> Path:
    """Encode frames; `options` come before the output and override the H.264 default."""
    height, width = frames[0].shape[:2]
    codec = options or ("-c:v", "libx264", "-preset", "veryfast", "-crf", "12", "-pix_fmt", "yuv420p", "-g", "12")
    command = ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"]
    command += ["-r", fps, "-i", "pipe:0", *map(str, codec), f"file:{path}"]
    data = b"".join(frame.tobytes() for frame in frames)
    done = subprocess.run(command, input=data, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return path


def numbered_clip(path: Path, num_frames: int, fps: str = "25", *options: str | Path) -> Path:
    """Write a clip of numbered frames, with a key frame every 12 and B-frames between."""
    return write_clip(path, [numbered_frame(number) for number in range(num_frames)], fps, *options)


def tone(path: Path, seconds: float, *options: str | Path, sample_rate: int = 48000, channels: int = 2) -> Path:
    """Write a 440 Hz tone; the name's ending chooses the container, `options` the codec."""
    source = f"sine=frequency=440:sample_rate={sample_rate}:duration={seconds}"
    run_ffmpeg("-f", "lavfi", "-i", source, "-ac", str(channels), *options, f"file:{path}")
    return path
