"""From synchronous clips of one face to training clips: aligned crops, face meshes and speech.

The input is a folder with a `manifest.csv` (columns clip, identity, split, kind) whose clips are single shots of one
person at 25 fps with their own sound in sync. Finding such clips in raw footage is a step before this one.
"""

import csv
import json
import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from latentsync_core.data_preparation.face_mesh import read_face_meshes
from latentsync_core.errors import LipSyncError, UnreadableMedia
from latentsync_core.face.alignment import BASE_RESOLUTION, crop_face, crop_matrix, fit_similarity
from latentsync_core.face.mediapipe_backend import MediapipeBackend, anchors_of
from latentsync_core.media.audio import read_speech
from latentsync_core.media.frame_grid import read_frame_grid
from latentsync_core.media.probe import probe_media
from latentsync_core.media.video_reader import VideoReader

log = logging.getLogger(__name__)

FACELESS_AT_MOST = 0.3  # share of frames; their anchors are taken from the nearest frame with a face
ANCHOR_SMOOTHING = 1.0  # frames, standard deviation


def prepare_clips(raw_dir: Path, out_dir: Path) -> dict[str, int]:
    """Prepare every clip of `raw_dir/manifest.csv` that is not in `out_dir` yet.

    Returns:
        How many clips were listed, kept, there already, and dropped (each with its reason in the log).

    Raises:
        UnreadableMedia: if there is no manifest.
    """
    manifest = raw_dir / "manifest.csv"
    if not manifest.is_file():
        raise UnreadableMedia(f"{raw_dir} has no manifest.csv with the columns clip, identity, split, kind")
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    counts = {"listed": len(rows), "kept": 0, "already there": 0, "dropped": 0}
    with MediapipeBackend() as detector:
        for row in rows:
            folder = out_dir / Path(row["clip"]).stem
            if (folder / "meta.json").exists():
                counts["already there"] += 1
                continue
            try:
                frames = prepare_clip(raw_dir / row["clip"], folder, detector)
            except LipSyncError as error:
                log.warning("dropped %s: %s", row["clip"], error)
                counts["dropped"] += 1
                continue
            (folder / "meta.json").write_text(json.dumps({**row, "frames": frames}), encoding="utf-8")
            counts["kept"] += 1
    return counts


def prepare_clip(path: Path, folder: Path, detector: MediapipeBackend, resolution: int = BASE_RESOLUTION) -> int:
    """Write crops.npy, mesh.npy and pcm.npy of one clip; gives the number of frames.

    Raises:
        UnreadableMedia: if the clip cannot be read or shows its face too rarely.
    """
    info = probe_media(path)
    grid = read_frame_grid(info)
    with VideoReader(info, grid) as reader:
        frames = np.stack(list(reader.read(0, grid.num_frames)))
    meshes = _fill_gaps(read_face_meshes(frames, detector), path)
    anchors = gaussian_filter1d(
        np.stack([anchors_of(mesh.astype(np.float64)) for mesh in meshes]), ANCHOR_SMOOTHING, axis=0, mode="nearest"
    )
    fits = [fit_similarity(points) for points in anchors]
    crops = np.stack([crop_face(frame, fit, resolution) for frame, fit in zip(frames, fits, strict=True)])
    maps = np.stack([crop_matrix(fit, resolution) for fit in fits])
    aligned = np.einsum("fij,fpj->fpi", maps[:, :, :2], meshes) + maps[:, None, :, 2]
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "crops.npy", crops)
    np.save(folder / "mesh.npy", aligned.astype(np.float32))
    np.save(folder / "pcm.npy", (read_speech(info) * 32767).astype(np.int16))
    return len(frames)


def _fill_gaps(meshes: NDArray[np.float32], path: Path) -> NDArray[np.float32]:
    """Give frames without a face the mesh of the nearest frame that has one."""
    faceless = np.isnan(meshes[:, 0, 0])
    if faceless.mean() > FACELESS_AT_MOST:
        raise UnreadableMedia(f"{path.name} shows no face in {faceless.sum()} of {len(meshes)} frames")
    seen = np.flatnonzero(~faceless)
    nearest = seen[np.abs(seen[None, :] - np.arange(len(meshes))[:, None]).argmin(1)]
    return meshes[nearest]
