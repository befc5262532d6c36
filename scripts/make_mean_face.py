"""Make latentsync_core/face/mean_face.npy: the mean of the faces' meshes in prepared clips of split `train`.

Each mesh (x, y, depth, as mediapipe gives it) is shifted, scaled and rotated onto the mean before it is counted
(generalised Procrustes analysis, Gower 1975).

    python -m scripts.make_mean_face .work/faces
"""

import sys
from pathlib import Path

import cv2
import numpy as np

from latentsync_core.face.alignment import CANVAS_SIZE, OUTSIDE
from latentsync_core.face.landmarks import FloatArray
from latentsync_core.face.mediapipe_backend import MediapipeBackend
from latentsync_core.training.face_clips import read_face_clips

OUT = Path("latentsync_core/face/mean_face.npy")
FRAMES_PER_CLIP = 4
MARGIN = 80  # pixels of grey around a crop, which the detector wants
ROUNDS = 5


def read_meshes(clips_dir: Path) -> FloatArray:
    """Find the meshes (N, 468, 3) of some frames of every clip."""
    meshes = []
    with MediapipeBackend() as detector:
        for clip in read_face_clips(clips_dir, "train"):
            for index in np.linspace(0, clip.num_frames - 1, FRAMES_PER_CLIP).astype(int):
                canvas = cv2.resize(clip.crops[index], CANVAS_SIZE)  # the crop is the canvas squeezed to a square
                frame = np.pad(canvas, ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), constant_values=OUTSIDE)
                found = detector.detect_meshes(frame)
                meshes += [found[0].points] if len(found) == 1 else []
    return np.stack(meshes)


def mean_shape(meshes: FloatArray) -> FloatArray:
    """Average shapes (N, P, 3) without their place, size and rotation; the mean (P, 3) has norm 1."""
    shapes = meshes - meshes.mean(axis=1, keepdims=True)
    shapes /= np.linalg.norm(shapes, axis=(1, 2), keepdims=True)
    mean = shapes[0]
    for _ in range(ROUNDS):
        left, _, right = np.linalg.svd(np.einsum("npi,pj->nij", shapes, mean))
        mean = np.einsum("npi,nij->pj", shapes, left @ right) / len(shapes)
        mean /= np.linalg.norm(mean)
    return mean


if __name__ == "__main__":
    np.save(OUT, mean_shape(read_meshes(Path(sys.argv[1]))).astype(np.float16))
