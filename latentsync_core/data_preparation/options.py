"""What a user may choose when preparing data."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from latentsync_core.errors import BadOption

RESOLUTIONS = (256, 512)
LARGEST_DISTURBANCE = 6  # frames; what is further off is dropped, not corrected


@dataclass(frozen=True)
class PrepareOptions:
    """The choices of `prepare`.

    Attributes:
        resolution: side of the aligned faces, pixels: 256 or 512.
        clips: "cut" = raw footage, to be split at shot cuts and cut into segments; "whole" = every file is one clip
            already; None = whole where the folder has a manifest.csv, cut where not.
        min_seconds: shortest segment; a shorter shot is dropped.
        max_seconds: longest segment; at least twice the shortest, so that any longer shot can be cut evenly.
        syncnet: StableSyncNet checkpoint (file or folder) that measures the offset; None = our own measure.
        alignment: "affine" = faces upright by the paper's transform; "box" = the face's bounding box, for studies.
        offsets: "correct" = shift the sound and drop what is too far off; "before" = the same by what is measured on
            faces that are not aligned yet, for studies; "report" = measure only; None = correct with a SyncNet, report
            without.
        disturb: frames at most by which the sound of a video of split `train` is moved out of sync, for studies
            (disturbance.py).
        min_confidence: clips whose sync confidence is lower are dropped; None = none. Its scale is the measure's.
        hyperiqa: weights of pyiqa's HyperIQA; None = our own sharpness measure.
        min_quality: clips of lower visual quality are dropped; None = the measure's own default.
        val_share: expected share of people held out, where no manifest says who is.
        workers: processes.
    """

    resolution: int = 256
    clips: Literal["cut", "whole"] | None = None
    min_seconds: float = 5.0
    max_seconds: float = 10.0
    syncnet: Path | None = None
    alignment: Literal["affine", "box"] = "affine"
    offsets: Literal["correct", "before", "report"] | None = None
    disturb: int = 0
    min_confidence: float | None = None
    hyperiqa: Path | None = None
    min_quality: float | None = None
    val_share: float = 0.1
    workers: int = 1

    def __post_init__(self) -> None:
        if self.resolution not in RESOLUTIONS:
            raise BadOption(f"resolution must be one of {RESOLUTIONS}, got {self.resolution}")
        if not 0 < self.min_seconds <= self.max_seconds / 2:
            raise BadOption(
                f"max_seconds must be at least twice min_seconds, got {self.min_seconds:g} to {self.max_seconds:g}: "
                "a shot a little longer than one segment must give two"
            )
        if not 0 <= self.val_share < 1:
            raise BadOption(f"val_share must be in [0, 1), got {self.val_share}")
        if not 0 <= self.disturb <= LARGEST_DISTURBANCE:
            raise BadOption(f"disturb must be 0 to {LARGEST_DISTURBANCE} frames, got {self.disturb}")
        if self.workers < 1:
            raise BadOption(f"workers must be at least 1, got {self.workers}")

    @property
    def corrects_offsets(self) -> bool:
        """Whether sound is shifted and clips too far off are dropped."""
        return self.offsets in ("correct", "before") or (self.offsets is None and self.syncnet is not None)
