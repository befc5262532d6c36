"""Training clips from synchronous face clips, on a moving public-domain portrait."""

import csv
import json

import numpy as np
import pytest
from skimage import data

from latentsync_core.data_preparation.aligned_clips import prepare_clips
from latentsync_core.data_preparation.face_mesh import LIP_POINTS
from latentsync_core.errors import UnreadableMedia
from tests.conftest import run_ffmpeg


@pytest.fixture(scope="module")
def raw_dir(tmp_path_factory):
    """Two clips: a portrait with a tone, and a picture without a face."""
    from PIL import Image

    root = tmp_path_factory.mktemp("raw")
    Image.fromarray(data.astronaut()[:300, 80:380]).save(root / "face.png")
    Image.fromarray(np.full((300, 300, 3), 90, np.uint8)).save(root / "grey.png")
    for name in ("face", "grey"):
        run_ffmpeg(
            *("-loop", "1", "-framerate", "25", "-t", "0.4", "-i", root / f"{name}.png"),
            *("-f", "lavfi", "-i", "sine=frequency=300:duration=0.4"),
            *("-vf", "rotate=0.02*sin(20*t)", "-pix_fmt", "yuv420p", root / f"{name}.mp4"),
        )
    with (root / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["clip", "identity", "split", "kind"])
        writer.writerows([[f"{name}.mp4", name, "train", "real"] for name in ("face", "grey")])
    return root


def test_clips_are_aligned_faceless_ones_dropped_and_nothing_is_done_twice(raw_dir, tmp_path):
    assert prepare_clips(raw_dir, tmp_path) == {"listed": 2, "kept": 1, "already there": 0, "dropped": 1}
    folder = tmp_path / "face"
    crops, mesh, pcm = (np.load(folder / f"{name}.npy") for name in ("crops", "mesh", "pcm"))
    assert crops.shape == (10, 256, 256, 3)
    assert json.loads((folder / "meta.json").read_text())["frames"] == 10
    assert abs(len(pcm) - 6400) < 1100
    lips = mesh[:, list(LIP_POINTS)].mean(axis=(0, 1))
    assert lips == pytest.approx([128, 160], abs=16)  # where the template puts a mouth
    assert prepare_clips(raw_dir, tmp_path)["already there"] == 1


def test_a_folder_without_a_manifest_is_refused(tmp_path):
    with pytest.raises(UnreadableMedia, match=r"manifest\.csv"):
        prepare_clips(tmp_path, tmp_path / "out")
