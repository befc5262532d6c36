"""Prepared clips on disk: aligned crops, meshes and speech, sampled evenly over people.

`prepare` (latentsync_core.data_preparation) leaves one folder a clip:
    crops.npy (F, R, R, 3) uint8, aligned; mesh.npy (F, 468, 2) float32 in crop pixels;
    pcm.npy (N,) int16 at 16 kHz; meta.json
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from latentsync_core.errors import BadOption, UnreadableMedia

VIDEO_FPS = 25
SAMPLE_RATE = 16_000


@dataclass(frozen=True)
class FaceClip:
    """One prepared clip; its arrays are mapped from disk when first used."""

    folder: Path
    identity: str
    split: str
    kind: str
    num_frames: int

    @cached_property
    def crops(self) -> NDArray[np.uint8]:
        """(F, R, R, 3) uint8 RGB."""
        return np.load(self.folder / "crops.npy", mmap_mode="r")

    @cached_property
    def mesh(self) -> NDArray[np.float32]:
        """(F, 468, 2) in pixels of the crop."""
        return np.load(self.folder / "mesh.npy")

    @cached_property
    def pcm(self) -> NDArray[np.float32]:
        """(N,) mono in [-1, 1] at 16 kHz."""
        return np.load(self.folder / "pcm.npy").astype(np.float32) / 32768.0


def read_face_clips(
    root: Path, split: str | None = None, kinds: tuple[str, ...] = ("real", "generated")
) -> list[FaceClip]:
    """List the prepared clips below `root`, in a fixed order.

    Raises:
        UnreadableMedia: if there are none.
    """
    clips = []
    for path in sorted(root.glob("*/meta.json")):
        meta = json.loads(path.read_text(encoding="utf-8"))
        if (split is None or meta["split"] == split) and meta["kind"] in kinds:
            clips.append(FaceClip(path.parent, meta["identity"], meta["split"], meta["kind"], meta["frames"]))
    if not clips:
        raise UnreadableMedia(f"{root} holds no prepared clips of split {split!r}; run `prepare` first")
    return clips


def refuse_shared_people(training: list[FaceClip], held_out: list[FaceClip]) -> None:
    """Make sure that nobody is in both splits.

    Raises:
        BadOption: naming who is.
    """
    shared = {clip.identity for clip in training} & {clip.identity for clip in held_out}
    if shared:
        root = held_out[0].folder.parent
        raise BadOption(f"{root}: split by person, please; in both splits are {', '.join(sorted(shared))}")


def clip_weights(clips: list[FaceClip], generated_weight: float = 0.5) -> NDArray[np.float64]:
    """Sampling probabilities: the square root of each person's footage, shared among the person's clips by length."""
    footage: dict[str, int] = {}
    for clip in clips:
        footage[clip.identity] = footage.get(clip.identity, 0) + clip.num_frames
    weights = np.array(
        [
            clip.num_frames / np.sqrt(footage[clip.identity]) * (1.0 if clip.kind == "real" else generated_weight)
            for clip in clips
        ]
    )
    return weights / weights.sum()
