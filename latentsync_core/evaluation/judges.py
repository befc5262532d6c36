"""Judges of sync: networks that put a face and a sound into one space. Each carries the name of its weights."""

from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import medfilt

from latentsync_core.audio.mfcc import speech_mfcc
from latentsync_core.data_preparation.sync_offset import AlignedClip
from latentsync_core.data_preparation.syncnet_offset import SyncNetOffset
from latentsync_core.evaluation.seen_clip import FPS, SAMPLES_PER_FRAME, SeenClip, read_at_25
from latentsync_core.models.syncnet_v2 import FACE_SIDE, MFCC_COLUMNS, NUM_FRAMES, SyncNetV2, load_syncnet_v2

MFCC_PER_FRAME = 4
BOX_SMOOTHING = 13  # frames, median
CROP_SCALE = 0.4
BORDER_LEVEL = 110
BATCH = 8

Track = NDArray[np.float32]


class SyncJudge(Protocol):
    """Embeds a clip; row t of both tracks is the stretch that begins at frame t."""

    name: str

    def embed(self, clip: SeenClip, pcm: NDArray[np.int16]) -> tuple[Track, Track] | None:
        """Give pictures (T, D) and sounds (T, D) of a clip and its sound (16 kHz); None if it is too short."""
        ...


class SyncNetV2Judge:
    """SyncNet v2 as joonson/syncnet_python runs it.

    One departure: the face's box is that of our mesh, not S3FD's; its half side, centre and the crop made of them (40 %
    margin, 13-frame median, grey border) follow their run_pipeline.py. Their crops are encoded once more as video.
    """

    name = "SyncNet v2"

    def __init__(self, network: SyncNetV2) -> None:
        self._network = network

    @classmethod
    def from_file(cls, path: Path) -> "SyncNetV2Judge":
        """Load `syncnet_v2.model`.

        Raises:
            BadCheckpoint: if it is not that.
        """
        return cls(load_syncnet_v2(path))

    @torch.no_grad()
    def embed(self, clip: SeenClip, pcm: NDArray[np.int16]) -> tuple[Track, Track] | None:
        """Embed five frames of 224 px and 20 MFCC columns for every stretch that begins 5 frames before the end."""
        count = min(len(clip.meshes), len(pcm) // SAMPLES_PER_FRAME)
        if count <= NUM_FRAMES:
            return None
        crops = torch.from_numpy(self._cut_crops(clip, count))  # (F, 3, 224, 224)
        mfcc = torch.from_numpy(speech_mfcc(pcm)).float().T  # (13, columns)
        pictures, sounds = [], []
        starts = range(count - NUM_FRAMES)
        for first in range(0, len(starts), BATCH):
            batch = starts[first : first + BATCH]
            frames = torch.stack([crops[t : t + NUM_FRAMES] for t in batch]).transpose(1, 2).float()
            heard = [mfcc[:, t * MFCC_PER_FRAME : t * MFCC_PER_FRAME + MFCC_COLUMNS] for t in batch]
            pictures.append(self._network.embed_lips(frames).numpy())
            sounds.append(self._network.embed_sound(torch.stack(heard)[:, None]).numpy())
        return np.concatenate(pictures), np.concatenate(sounds)

    @staticmethod
    def _cut_crops(clip: SeenClip, count: int) -> NDArray[np.uint8]:
        boxes = smooth_boxes(clip.meshes[:count])
        frames = read_at_25(clip.path, count / FPS)
        crops = [syncnet_crop(frame, *box) for frame, box in zip(frames, boxes, strict=True)]
        return np.stack(crops)[..., ::-1].transpose(0, 3, 1, 2).copy()  # BGR, as OpenCV read them there


class StableSyncNetJudge:
    """A StableSyncNet of ours or the published one; embeddings have length 1, so distances lie in 0..2."""

    def __init__(self, network: SyncNetOffset, name: str) -> None:
        self._network, self.name = network, name

    @classmethod
    def from_folder(cls, path: Path) -> "StableSyncNetJudge":
        """Load a folder of `train-syncnet`; its name becomes the judge's.

        Raises:
            BadCheckpoint: if it is not that.
        """
        return cls(SyncNetOffset.from_checkpoint(path), cls.name_of(path))

    @staticmethod
    def name_of(path: Path) -> str:
        """The judge's name by its folder, of which `best` and `syncnet` are parts of a run."""
        run = path.resolve()
        return f"StableSyncNet ({run.parent.name if run.name in ('best', 'syncnet') else run.name})"

    def embed(self, clip: SeenClip, pcm: NDArray[np.int16]) -> tuple[Track, Track] | None:
        """Embed the aligned crops' lower halves and their mel."""
        tracks = self._network.embed_tracks(AlignedClip(clip.crops, clip.meshes, pcm))
        return None if tracks is None else (tracks[0].numpy(), tracks[1].numpy())


def smooth_boxes(meshes: NDArray[np.float32]) -> NDArray[np.float64]:
    """Give half side, x and y of the face's box, (F, 468, 2) -> (F, 3) pixels; gaps are filled from the nearest."""
    low, high = meshes.min(axis=1).astype(np.float64), meshes.max(axis=1).astype(np.float64)
    boxes = np.column_stack([(high - low).max(axis=1) / 2, (low + high) / 2])
    seen = np.flatnonzero(~np.isnan(boxes[:, 0]))
    boxes = boxes[seen[np.abs(seen[None] - np.arange(len(boxes))[:, None]).argmin(axis=1)]]
    edge = BOX_SMOOTHING // 2  # repeated at the ends: zeros there would shrink the first boxes to nothing
    padded = np.pad(boxes, ((edge, edge), (0, 0)), mode="edge")
    return np.column_stack([medfilt(column, BOX_SMOOTHING) for column in padded.T])[edge : edge + len(boxes)]


def syncnet_crop(frame: NDArray[np.uint8], half: float, x: float, y: float) -> NDArray[np.uint8]:
    """Cut SyncNet's square around a face, (H, W, 3) -> (224, 224, 3) uint8."""
    margin = int(half * (1 + 2 * CROP_SCALE))
    padded = cv2.copyMakeBorder(frame, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=(BORDER_LEVEL,) * 3)
    top, bottom = int(y + margin - half), int(y + margin + half * (1 + 2 * CROP_SCALE))
    left, right = int(x + margin - half * (1 + CROP_SCALE)), int(x + margin + half * (1 + CROP_SCALE))
    crop = padded[max(0, top) : bottom, max(0, left) : right]
    return np.asarray(cv2.resize(crop, (FACE_SIDE, FACE_SIDE)), np.uint8)
