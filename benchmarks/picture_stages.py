"""The stages around the networks, each alone: reading, face, cropping, turning the reference, pasting, writing.

Their operations are not counted: they are libraries' (libav, MediaPipe, OpenCV, x264), mostly on whole numbers. Their
least bytes are those of the pictures that must go in and out; a copy's speed is a limit they stay far from.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.counting import Cost
from benchmarks.meter import Reading
from benchmarks.stage_figures import StageFigures
from latentsync_core.bundle import Bundle
from latentsync_core.face.alignment import crop_face
from latentsync_core.face.detectors import make_face_detector
from latentsync_core.face.paste_back import paste_face
from latentsync_core.face.reference import choose_anchor
from latentsync_core.face.tracking import FaceFrame, FaceTracker
from latentsync_core.frame_supply import Anchor, Crop
from latentsync_core.media.color import result_tags
from latentsync_core.media.frame_grid import FrameGrid, read_frame_grid
from latentsync_core.media.probe import MediaInfo, probe_media
from latentsync_core.media.video_reader import RGBFrame, VideoReader
from latentsync_core.media.video_writer import VideoWriter

READS_PER_FRAME = 2  # once to look for the face, once for the result
Meter = Callable[[str], AbstractContextManager[Reading]]


@dataclass(frozen=True, eq=False)
class Clip:
    """Frames of one video with their faces.

    Attributes:
        info, grid: the file.
        frames: (H, W, 3) uint8 each.
        faces: where the face is, one per frame; all have one.
        crops: (R, R, 3) uint8 each.
        references: (R, R, 3) uint8 each; None if each frame is its own reference.
    """

    info: MediaInfo
    grid: FrameGrid
    frames: list[RGBFrame]
    faces: list[FaceFrame]
    crops: list[Crop]
    references: list[Crop] | None

    @property
    def frame_bytes(self) -> int:
        """Of one frame as RGB."""
        return self.frames[0].nbytes


def read_clip(
    video: Path, num_frames: int, bundle: Bundle, meter: Meter, references_per_frame: float
) -> tuple[Clip, list[StageFigures]]:
    """Read a video and bring its faces into the crop, measuring.

    Args:
        video: shows one face on each of its first frames.
        num_frames: at least 1.
        bundle: gives the crop's size and the kind of reference.
        meter: measures a block under a stage's name.
        references_per_frame: references drawn for one frame of the result.

    Raises:
        ValueError: if the video is shorter, or a frame shows no face.
    """
    info = probe_media(video)
    grid = read_frame_grid(info)
    with VideoReader(info, grid) as reader, meter("read") as reading:
        frames = list(reader.read(0, min(num_frames, grid.num_frames)))
    if len(frames) < num_frames:
        raise ValueError(f"{video.name}: {num_frames} frames with a face are needed")
    with make_face_detector("mediapipe") as detector:
        tracker = FaceTracker(detector, float(grid.fps))
        with meter("face") as looking:
            faces = [face for frame in frames for face in tracker.push(frame)] + tracker.finish()
    if any(face.matrix is None or face.landmarks is None for face in faces):
        raise ValueError(f"{video.name}: {num_frames} frames with a face are needed")
    side = bundle.config.resolution
    with meter("crop") as cropping:
        crops = [_crop(*pair, side) for pair in zip(frames, faces, strict=True)]
    frame_bytes, crop_bytes, count = frames[0].nbytes, crops[0].nbytes, len(frames)
    file_bytes = video.stat().st_size / grid.num_frames
    figures = [
        StageFigures("read", reading, count, "frames", READS_PER_FRAME, _bytes(file_bytes + frame_bytes)),
        StageFigures("face", looking, count, "frames", 1, _bytes(frame_bytes)),
        StageFigures("crop", cropping, count, "frames", 1, _bytes(2 * crop_bytes)),
    ]
    references = None
    if bundle.config.reference == "anchor":
        number = choose_anchor(faces)
        anchor = Anchor(crops[number], faces[number])
        with meter("reference") as turning:
            references = [anchor.turned_as(face) for face in faces]
        cost = _bytes(2 * crop_bytes)
        figures.append(StageFigures("reference", turning, count, "frames", references_per_frame, cost))
    return Clip(info, grid, frames, faces, crops, references), figures


def write_clip(clip: Clip, mouths: list[Crop], bundle: Bundle, out: Path, meter: Meter) -> list[StageFigures]:
    """Paste new faces (R, R, 3), which are repeated as needed, and write the video, measuring."""
    mask = bundle.mask.cpu().numpy()
    paste_mask = None if bundle.paste_mask is None else bundle.paste_mask.numpy()
    new_faces = [mouths[number % len(mouths)] for number in range(len(clip.frames))]
    with meter("paste") as pasting:
        pictures = [
            paste_face(frame, mouth, face.matrix, mask, paste_mask=paste_mask, crop=crop)
            for frame, mouth, face, crop in zip(clip.frames, new_faces, clip.faces, clip.crops, strict=True)
            if face.matrix is not None
        ]
    height, width = pictures[0].shape[:2]
    tags = result_tags(clip.info.require_video())
    with meter("write") as writing, VideoWriter(out, (width, height), clip.grid.fps, tags) as writer:
        for picture in pictures:
            writer.write(picture)
    count, file_bytes = len(pictures), out.stat().st_size / len(pictures)
    return [
        StageFigures("paste", pasting, count, "frames", 1, _bytes(2 * clip.frame_bytes + mouths[0].nbytes)),
        StageFigures("write", writing, count, "frames", 1, _bytes(clip.frame_bytes + file_bytes)),
    ]


def _crop(frame: RGBFrame, face: FaceFrame, side: int) -> Crop:
    assert face.matrix is not None
    return np.ascontiguousarray(crop_face(frame, face.matrix, side))


def _bytes(least: float) -> Cost:
    return Cost(0.0, least, least)
