"""Each block's frames with the reference frame that fits them; the faces are scripted, the video is real."""

from collections.abc import Sequence
from pathlib import Path

from latentsync_core.face.alignment import fit_similarity
from latentsync_core.face.reference import choose_anchor
from latentsync_core.face.tracking import FaceFrame
from latentsync_core.frame_supply import FrameSupply, gather_blocks
from latentsync_core.media.frame_grid import read_frame_grid
from latentsync_core.media.probe import probe_media
from latentsync_core.media.video_reader import VideoReader
from latentsync_core.stage_clock import StageClock
from latentsync_core.timeline import plan_timeline
from latentsync_core.windows import Block
from tests.core.face.scripted_faces import face_at


class ScriptedAnalysis:
    """One shot of a head that turns as told."""

    def __init__(self, yaws: Sequence[float]) -> None:
        faces = [face_at(112, 112, yaw=yaw) for yaw in yaws]
        self._faces = [FaceFrame(index, 0, fit_similarity(face.anchors), face) for index, face in enumerate(faces)]

    def face_in(self, frame: int) -> FaceFrame:
        return self._faces[frame]

    def anchor_of(self, shot: int, yaw: float) -> int:
        return choose_anchor(self._faces, yaw)


def test_every_block_is_shown_a_reference_turned_as_its_own_frames(face_clip: Path):
    yaws = [0.0] * 12 + [6.0 * step for step in range(8)] + [40.0] * 10
    info = probe_media(face_clip)
    grid = read_frame_grid(info)
    blocks = [Block(range(12), tail=4, shot=0), Block(range(8, 20), 4, 4, shot=0), Block(range(16, 30), 4, shot=0)]
    with VideoReader(info, grid) as reader, VideoReader(info, grid) as anchors:
        timeline = plan_timeline(grid.num_frames, grid.fps, 1.2)
        supply = FrameSupply(reader, anchors, timeline, ScriptedAnalysis(yaws), 64, StageClock())
        given = [(block, frames[-1].anchor) for block, frames in gather_blocks(supply.frames_of(blocks, 0))]
    assert [block for block, _ in given] == blocks
    assert [abs(yaws[anchor.face.index] - wanted) <= 10 for (_, anchor), wanted in zip(given, (0, 15, 45), strict=True)]
    assert [anchor.number for _, anchor in given] == [0, 13, 18]
