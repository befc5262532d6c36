"""A tiny bundle, clips with a moving face, and a look at the frames before they are encoded."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from latentsync_core.pipeline import LipSyncPipeline
from latentsync_core.segments import SegmentWriter
from tests.core.clips import Frame, tone, write_clip
from tests.tiny_bundle import write_tiny_bundle

SIZE = 224


def face_frame(number: int, width: int = SIZE, height: int = SIZE) -> Frame:
    """Draw a face that moves a little from frame to frame."""
    shift = np.array([[1, 0, 5 * np.sin(number / 6) - 90], [0, 1, 4 * np.cos(number / 6) - 10]], np.float32)
    return cv2.warpAffine(astronaut(), shift, (width, height), borderMode=cv2.BORDER_REFLECT)


def empty_frame(number: int, width: int = SIZE, height: int = SIZE) -> Frame:
    """Draw a scene without a face, with a stripe that moves."""
    frame = np.full((height, width, 3), (60, 110, 90), np.uint8)
    frame[:, (number * 4) % width :][:, :10] = (200, 180, 40)
    return frame


@pytest.fixture(autouse=True)
def tiny_networks(one_torch_thread: None) -> None:
    """All tests here run tiny networks."""


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> LipSyncPipeline:
    """A pipeline with a tiny bundle whose frames are their own reference."""
    return LipSyncPipeline.from_bundle(write_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny"), device="cpu")


@pytest.fixture(scope="session")
def anchored_pipeline(tmp_path_factory: pytest.TempPathFactory) -> LipSyncPipeline:
    """A pipeline with a tiny bundle of the small model's kind: fixed reference, change predicted, guidance."""
    facts = {"reference": "anchor", "residual_reference": True, "default_guidance": 1.5}
    folder = write_tiny_bundle(tmp_path_factory.mktemp("bundles") / "anchored", **facts)
    return LipSyncPipeline.from_bundle(folder, device="cpu")


@pytest.fixture(scope="session")
def face_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A face for 1.2 s at 25 fps, without sound."""
    return write_clip(tmp_path_factory.mktemp("clips") / "face.mp4", [face_frame(number) for number in range(30)])


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sound for 1 s: AAC, 48 kHz, stereo."""
    return tone(tmp_path_factory.mktemp("sound") / "speech.m4a", 1.0)


@pytest.fixture
def composed(monkeypatch: pytest.MonkeyPatch) -> dict[int, Frame]:
    """The result's frames as they go to the encoder, by number."""
    frames: dict[int, Frame] = {}
    write = SegmentWriter.write

    def keep_and_write(self: SegmentWriter, index: int, frame: Frame) -> None:
        frames[index] = frame.copy()
        write(self, index, frame)

    monkeypatch.setattr(SegmentWriter, "write", keep_and_write)
    return frames
