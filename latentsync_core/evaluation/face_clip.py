"""What the metrics see of a video: its mouth openings and its aligned crops."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from latentsync_core.data_preparation.face_mesh import mouth_opening, read_face_meshes
from latentsync_core.errors import FaceNotFound
from latentsync_core.face.alignment import crop_face, fit_similarity
from latentsync_core.face.mediapipe_backend import MediapipeBackend, anchors_of
from latentsync_core.media.frame_grid import read_frame_grid
from latentsync_core.media.probe import probe_media
from latentsync_core.media.video_reader import VideoReader


@dataclass(frozen=True, eq=False)
class MeasuredClip:
    """Measures of one video.

    Attributes:
        fps: frames per second.
        openings: (F,) mouth openings, NaN where no face was found.
        crops: (F, 256, 256, 3) uint8, aligned; black where no face was found.
        fits: (F, 2, 3) the alignment of every frame, NaN where no face was found.
    """

    fps: float
    openings: NDArray[np.float64]
    crops: NDArray[np.uint8]
    fits: NDArray[np.float64]


def measure_clip(path: Path, detector: MediapipeBackend, fits: NDArray[np.float64] | None = None) -> MeasuredClip:
    """Decode a short video and measure every frame.

    Args:
        fits: alignments to cut the crops with (those of the source, to compare a result with it); None = its own.

    Raises:
        FaceNotFound: if no frame shows a face.
    """
    info = probe_media(path)
    grid = read_frame_grid(info)
    with VideoReader(info, grid) as reader:
        frames = list(reader.read(0, grid.num_frames))
    meshes = read_face_meshes(frames, detector)
    if np.isnan(meshes[:, 0, 0]).all():
        raise FaceNotFound(len(frames))
    if fits is None:
        fits = np.stack([_fit(mesh) for mesh in meshes])
    crops = [
        np.zeros((256, 256, 3), np.uint8) if np.isnan(fit[0, 0]) else crop_face(frame, fit, 256)
        for frame, fit in zip(frames, fits, strict=False)
    ]
    return MeasuredClip(float(grid.fps), mouth_opening(meshes), np.stack(crops), fits)


def _fit(mesh: NDArray[np.float32]) -> NDArray[np.float64]:
    if np.isnan(mesh[0, 0]):
        return np.full((2, 3), np.nan)
    return fit_similarity(anchors_of(mesh.astype(np.float64)))
