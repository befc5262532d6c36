"""Finished segments in a work folder, and what a second run may take over from a first.

A segment is a playable mp4 without sound, a few seconds long, written under its name only when complete. The manifest
beside them names everything the frames depend on; if that differs, nothing is taken over.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from latentsync_core.media.video_reader import RGBFrame
from latentsync_core.media.video_writer import VideoWriter

logger = logging.getLogger(__name__)

FORMAT = 1  # of the manifest and of what a run computes; raise it when the same input gives other frames
SAMPLED_BYTES = 2**20  # of each end of a file: enough to tell uploads apart, cheap for gigabytes


class SegmentFolder:
    """The segments of one job.

    Args:
        work_dir: holds `segments/` and `segments.json`.
        plan: the frame numbers of each segment, in order.
        facts: everything the frames depend on, ready for JSON.
    """

    def __init__(self, work_dir: Path, plan: Sequence[range], facts: Mapping[str, Any]) -> None:
        self.plan = list(plan)
        self._folder, self._manifest = work_dir / "segments", work_dir / "segments.json"
        described = {"format": FORMAT, "plan": [[part.start, part.stop] for part in plan], **facts}
        fingerprint = hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode()).hexdigest()
        if self._stored_fingerprint() != fingerprint:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._manifest.write_text(json.dumps({"fingerprint": fingerprint, **described}, default=str), encoding="utf-8")
        self.num_resumed = self._count_finished()
        if self.num_resumed:
            logger.info("%d of %d segments are there already", self.num_resumed, len(self.plan))

    @property
    def paths(self) -> list[Path]:
        """Where each segment is, or will be."""
        return [self._folder / f"{number:05d}.mp4" for number in range(len(self.plan))]

    @property
    def first_missing_frame(self) -> int:
        """The frame at which to go on; the number of all frames if nothing is missing."""
        if self.num_resumed == len(self.plan):
            return self.plan[-1].stop
        return self.plan[self.num_resumed].start

    def _stored_fingerprint(self) -> str | None:
        try:
            stored = json.loads(self._manifest.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return stored.get("fingerprint") if isinstance(stored, dict) else None

    def _count_finished(self) -> int:
        """Count the segments that are there without a gap; later ones are of no use and are removed."""
        present = [path.exists() for path in self.paths]
        count = present.index(False) if False in present else len(present)
        for path in self._folder.iterdir():
            if path not in self.paths[:count]:
                path.unlink()
        return count


class SegmentWriter:
    """Takes the frames of a result in order and divides them among the segments' files.

    Args:
        folder: where they go; frames before its `first_missing_frame` are not expected.
        open_writer: opens the encoder of one file.
    """

    def __init__(self, folder: SegmentFolder, open_writer: Callable[[Path], VideoWriter]) -> None:
        self._folder, self._open_writer = folder, open_writer
        self._writer: VideoWriter | None = None
        self.num_finished = folder.num_resumed
        self._next = folder.first_missing_frame

    def write(self, index: int, frame: RGBFrame) -> None:
        """Encode result frame `index`, the next one.

        Raises:
            EncodingFailed: if ffmpeg fails.
        """
        if index != self._next:
            raise ValueError(f"frame {index} came where frame {self._next} was due")
        if self._writer is None:
            self._writer = self._open_writer(self._folder.paths[self.num_finished])
        self._writer.write(frame)
        self._next += 1
        if self._next == self._folder.plan[self.num_finished].stop:
            self._writer.close()
            self._writer = None
            self.num_finished += 1

    def abort(self) -> None:
        """Stop the encoder of an unfinished segment, if there is one, and leave no file of it."""
        if self._writer is not None:
            self._writer.abort()
            self._writer = None


def describe_file(path: Path) -> dict[str, Any]:
    """Tell a file from others by its size and a hash of its two ends."""
    size = path.stat().st_size
    digest = hashlib.sha256()
    with path.open("rb") as file:
        digest.update(file.read(SAMPLED_BYTES))
        file.seek(max(0, size - SAMPLED_BYTES))
        digest.update(file.read(SAMPLED_BYTES))
    return {"bytes": size, "sha256_of_ends": digest.hexdigest()}
