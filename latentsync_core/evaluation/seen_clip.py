"""A video as the metrics see it: 25 fps whatever its own rate, its face's mesh and crops, never whole in memory.

Evaluation protocol of arXiv:2412.09262, section 4: 25 fps, 16 kHz, faces aligned to 256 px by a similarity.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from latentsync_core.data_preparation.face_mesh import mouth_opening, read_face_meshes
from latentsync_core.errors import FaceNotFound
from latentsync_core.face.alignment import crop_face, fit_similarity
from latentsync_core.face.mediapipe_backend import MediapipeBackend, anchors_of
from latentsync_core.media.audio import SAMPLE_RATE, read_speech
from latentsync_core.media.frame_grid import read_frame_grid
from latentsync_core.media.probe import probe_media
from latentsync_core.media.video_reader import VideoReader

FPS = 25
SAMPLES_PER_FRAME = SAMPLE_RATE // FPS
SIDE = 256  # of the aligned crops, pixels

Frame = NDArray[np.uint8]
Crops = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class SeenClip:
    """One video at 25 fps.

    Attributes:
        path: of the file.
        meshes: (F, 468, 2) float32 pixels of the frame, NaN where no face was found.
        fits: (F, 2, 3) the alignment that the crops were cut with, NaN where there is none.
        crops: (F, 256, 256, 3) uint8, aligned; black where there is no alignment.
    """

    path: Path
    meshes: NDArray[np.float32]
    fits: NDArray[np.float64]
    crops: Crops

    @property
    def has_face(self) -> NDArray[np.bool_]:
        """(F,) where a face was found."""
        return ~np.isnan(self.meshes[:, 0, 0])

    @property
    def openings(self) -> NDArray[np.float64]:
        """(F,) mouth openings, unitless, NaN where no face was found."""
        return mouth_opening(self.meshes)


def read_at_25(path: Path, max_seconds: float) -> Iterator[Frame]:
    """Give the frame on display in the middle of each 25th of a second, (H, W, 3) uint8 RGB.

    Raises:
        UnreadableMedia: if the file holds no video that can be decoded.
    """
    info = probe_media(path)
    grid = read_frame_grid(info)
    wanted = _grid_indices(grid.num_frames, grid.fps, max_seconds)
    if not wanted:
        return
    with VideoReader(info, grid) as reader:
        position = 0
        for number, frame in enumerate(reader.read(0, wanted[-1] + 1)):
            while position < len(wanted) and wanted[position] == number:
                yield frame
                position += 1


def _grid_indices(num_frames: int, fps: Fraction, max_seconds: float) -> list[int]:
    count = min(round(num_frames / fps * FPS), int(max_seconds * FPS + 0.5))
    middles = (int(Fraction(2 * n + 1, 2 * FPS) * fps) for n in range(max(count, 1)))
    return [min(index, num_frames - 1) for index in middles]


def see_clip(
    path: Path, detector: MediapipeBackend, max_seconds: float, fits: NDArray[np.float64] | None = None
) -> SeenClip:
    """Look at a video twice: for its meshes, then for its crops.

    Args:
        path: of the video.
        detector: used by this thread only.
        max_seconds: of the beginning that is looked at.
        fits: alignments (F, 2, 3) to cut the crops with (those of the source, to compare a result with it, as far as
            they reach); None = its own.

    Raises:
        FaceNotFound: if no frame shows a face.
        UnreadableMedia: if it cannot be read.
    """
    meshes = read_face_meshes(read_at_25(path, max_seconds), detector)
    if len(meshes) == 0 or np.isnan(meshes[:, 0, 0]).all():
        raise FaceNotFound(len(meshes))
    own = np.stack([_fit(mesh) for mesh in meshes])
    if fits is not None:
        common = min(len(own), len(fits))
        own[:common] = fits[:common]
    crops = np.zeros((len(own), SIDE, SIDE, 3), np.uint8)
    for index, frame in enumerate(read_at_25(path, max_seconds)):
        if not np.isnan(own[index, 0, 0]):
            crops[index] = crop_face(frame, own[index], SIDE)
    return SeenClip(path, meshes, own, crops)


def hear(path: Path, max_seconds: float) -> NDArray[np.float32]:
    """Give the beginning of a file's sound, (N,) float32 in [-1, 1] at 16 kHz.

    Raises:
        NoSpeech: if there is none, or it is silent.
    """
    return read_speech(probe_media(path))[: round(max_seconds * SAMPLE_RATE)]


def to_int16(pcm: NDArray[np.float32]) -> NDArray[np.int16]:
    """Turn samples in [-1, 1] into those of a 16-bit file."""
    return np.clip(np.rint(pcm * 32768), -32768, 32767).astype(np.int16)


def _fit(mesh: NDArray[np.float32]) -> NDArray[np.float64]:
    if np.isnan(mesh[0, 0]):
        return np.full((2, 3), np.nan)
    return fit_similarity(anchors_of(mesh.astype(np.float64)))
