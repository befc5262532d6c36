"""Step 5: align the faces of a segment (arXiv:2412.09262, section 3), and drop segments with several faces or none.

Frames are asked for twice, for the meshes and for the crops: ten seconds of 1080p would take 1.5 GB to hold.
"""

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from latentsync_core.data_preparation.dropped import Dropped
from latentsync_core.data_preparation.face_mesh import MESH_POINTS
from latentsync_core.face.alignment import OUTSIDE, crop_matrix, fit_similarity
from latentsync_core.face.landmarks import MIN_FACE_HEIGHT, FaceLandmarks
from latentsync_core.face.mediapipe_backend import FaceMesh, MediapipeBackend, anchors_of, describe
from latentsync_core.face.sampling import compose_affine, resize_affine, sample_affine, shift_affine

FACELESS_AT_MOST = 0.3  # share of frames; their anchors are taken from the nearest frame with a face
SEVERAL_AT_MOST = 0.1  # share of frames with a second face: a detector's ghost is seen in a few frames only
SECOND_FACE = 0.5  # of the tallest face's height; smaller ones are passers-by and pictures on the wall
STILL_AT_MOST = 0.5  # share of frames; a source of 15 fps has 0.4
ANCHOR_SMOOTHING = 1.0  # frames, standard deviation
BOXED = "boxed.npy"

Frames = Iterable[NDArray[np.uint8]]


@dataclass(frozen=True)
class FaceMeasures:
    """What was seen of the faces of one segment.

    Attributes:
        face_px: median height of the tallest face in the source's pixels.
        yaw: median turn to either side, degrees.
        faceless_share: share of frames without a face.
        several_share: share of frames with a second face.
        still_share: share of frames that repeat the one before: a lower frame rate, or damage.
    """

    face_px: float
    yaw: float
    faceless_share: float
    several_share: float
    still_share: float


def look_for_faces(frames: Frames, detector: MediapipeBackend) -> tuple[NDArray[np.float32], FaceMeasures]:
    """Find the tallest face in each frame.

    Args:
        frames: (H, W, 3) uint8 RGB.
        detector: finds the faces.

    Returns:
        (F, 468, 2) float32 meshes in frame pixels, NaN for a frame without a face; and what was seen.
    """
    meshes: list[NDArray[np.float32]] = []
    seen: list[FaceLandmarks] = []
    with_several = still = 0
    last: NDArray[np.uint8] | None = None
    found: list[FaceMesh] = []
    for frame in frames:
        if last is not None and np.array_equal(frame, last):
            still += 1  # and the same faces: the detector knows nothing but the frame
        else:
            found = sorted(detector.detect_meshes(frame), key=_height, reverse=True)
        last = frame
        if not found:
            meshes.append(np.full((MESH_POINTS, 2), np.nan, np.float32))
            continue
        meshes.append(found[0].points[:, :2].astype(np.float32))
        seen.append(describe(found[0]))
        with_several += len(found) > 1 and _height(found[1]) >= SECOND_FACE * _height(found[0])
    count = len(meshes)
    measures = FaceMeasures(
        face_px=float(np.median([face.height for face in seen])) if seen else 0.0,
        yaw=float(np.median([abs(face.yaw) for face in seen])) if seen else 0.0,
        faceless_share=1 - len(seen) / count,
        several_share=with_several / count,
        still_share=still / count,
    )
    return np.stack(meshes), measures


def fault_of(measures: FaceMeasures) -> Dropped | None:
    """Say why a segment cannot be used; None if it shows one face."""
    if measures.faceless_share > FACELESS_AT_MOST:
        return Dropped("no face", f"in {measures.faceless_share:.0%} of the frames")
    if measures.several_share > SEVERAL_AT_MOST:
        return Dropped("several faces", f"in {measures.several_share:.0%} of the frames")
    if measures.still_share > STILL_AT_MOST:
        return Dropped("picture stands still", f"in {measures.still_share:.0%} of the frames")
    if measures.face_px < MIN_FACE_HEIGHT:
        return Dropped("face too small", f"{measures.face_px:.0f} px tall, at least {MIN_FACE_HEIGHT:.0f} are needed")
    return None


def write_aligned(
    read: Callable[[], Frames],
    meshes: NDArray[np.float32],
    folder: Path,
    resolution: int,
    alignment: str = "affine",
    with_boxes: bool = False,
) -> None:
    """Write crops.npy (F, R, R, 3) uint8 and mesh.npy (F, 468, 2) float32 in pixels of the crop.

    Args:
        read: begins to read the segment's frames.
        meshes: of `look_for_faces`; some may be NaN, not all.
        folder: where to write; it appears when it is complete.
        resolution: side R of the crops.
        alignment: "affine" or "box".
        with_boxes: write boxed.npy, too, what crops.npy is with "box".
    """
    meshes = _fill_gaps(meshes)
    maps = (_upright_maps if alignment == "affine" else _box_maps)(meshes, resolution)
    aligned = np.einsum("fij,fpj->fpi", maps[:, :, :2], meshes) + maps[:, None, :, 2]
    partial = folder.with_name(f"{folder.name}.part")
    for stale in (partial, folder):
        shutil.rmtree(stale, ignore_errors=True)
    partial.mkdir(parents=True)
    np.save(partial / "crops.npy", _crop(read(), maps, resolution))
    np.save(partial / "mesh.npy", aligned.astype(np.float32))
    if with_boxes:
        np.save(partial / BOXED, _crop(read(), _box_maps(meshes, resolution), resolution))
    partial.replace(folder)


def _crop(frames: Frames, maps: NDArray[np.float64], resolution: int) -> NDArray[np.uint8]:
    size = (resolution, resolution)
    pairs = zip(frames, maps, strict=True)
    return np.stack([sample_affine(frame, matrix, size, border=OUTSIDE) for frame, matrix in pairs])


def _upright_maps(meshes: NDArray[np.float32], resolution: int) -> NDArray[np.float64]:
    """The paper's affine transforms (F, 2, 3) from frame to crop pixels."""
    anchors = gaussian_filter1d(
        np.stack([anchors_of(mesh.astype(np.float64)) for mesh in meshes]), ANCHOR_SMOOTHING, axis=0, mode="nearest"
    )
    return np.stack([crop_matrix(fit_similarity(points), resolution) for points in anchors])


def _box_maps(meshes: NDArray[np.float32], resolution: int) -> NDArray[np.float64]:
    """What brings each face's bounding box to the crop, (F, 2, 3): not upright, nor of one proportion; as Wav2Lip's."""
    corners = np.stack([meshes.min(axis=1), meshes.max(axis=1)], axis=1).astype(np.float64)  # (F, 2, 2)
    corners = gaussian_filter1d(corners, ANCHOR_SMOOTHING, axis=0, mode="nearest")
    sizes = corners[:, 1] - corners[:, 0]
    return np.stack(
        [
            compose_affine(resize_affine(resolution / width, resolution / height), shift_affine(-x, -y))
            for (x, y), (width, height) in zip(corners[:, 0], sizes, strict=True)
        ]
    )


def _fill_gaps(meshes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give frames without a face the mesh of the nearest frame that has one."""
    seen = np.flatnonzero(~np.isnan(meshes[:, 0, 0]))
    nearest = seen[np.abs(seen[None, :] - np.arange(len(meshes))[:, None]).argmin(1)]
    return meshes[nearest]


def _height(mesh: FaceMesh) -> float:
    return float(np.ptp(mesh.points[:, 1]))
