"""Each block's frames with the reference frame that fits them; the faces are scripted, the video is real."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from latentsync_core.face.alignment import fit_similarity
from latentsync_core.face.head_pose import POSE_POINTS
from latentsync_core.face.landmarks import FaceLandmarks
from latentsync_core.face.reference import choose_anchor, choose_mouths
from latentsync_core.face.tracking import FaceFrame
from latentsync_core.frame_supply import (
    Anchor,
    FrameSupply,
    ReconstructedAnchors,
    SuppliedFrame,
    gather_blocks,
    references_of,
    sharpen_mouths,
    turning_costs,
)
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
        self._faces = [replace(frame_of(face_at(112, 112, yaw=yaw)), index=index) for index, yaw in enumerate(yaws)]

    def face_in(self, frame: int) -> FaceFrame:
        return self._faces[frame]

    def anchor_of(self, shot: int, yaw: float) -> int:
        return choose_anchor(self._faces, yaw)

    def mouths_of(self, shot: int, yaw: float) -> list[int]:
        return choose_mouths(self._faces, yaw)


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
    assert [anchor.face.index for _, anchor in given] == [0, 13, 18]


def test_references_follow_the_head_and_frames_of_one_face_share_theirs():
    turned = head_face(6.0)
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    anchor = Anchor(picture, head_face(0.0))
    block = Block(range(4), shot=0)
    faces = [anchor.face, turned, turned, frame_of(face_at(112, 112))]  # the last one is of a detector without a mesh
    frames = [SuppliedFrame(index, block, picture, face, picture, anchor) for index, face in enumerate(faces)]
    same, first, second, unknown = references_of(frames)
    assert np.array_equal(same, picture)
    assert not np.array_equal(first, picture)
    assert second is first
    assert unknown is picture
    assert references_of([SuppliedFrame(0, block, picture, turned, picture, None)]) is None


def test_a_reference_is_coded_once_and_turned_as_the_frames_are():
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    coded = []

    def reconstruct(face: np.ndarray) -> np.ndarray:
        coded.append(face)
        return 255 - face

    anchors = ReconstructedAnchors(reconstruct)
    block = Block(range(2), shot=0)
    first, second = (Anchor(picture.copy(), head_face(0.0)) for _ in range(2))
    for anchor in (first, first, second):
        faces = [anchor.face, head_face(6.0)]
        frames = [SuppliedFrame(index, block, picture, face, picture, anchor) for index, face in enumerate(faces)]
        same, turned = anchors.of(frames)
        assert np.array_equal(same, 255 - picture)
        assert np.abs(turned.astype(int) - (255 - references_of(frames)[1])).max() <= 1
    assert [face is anchor.crop for face, anchor in zip(coded, (first, second), strict=True)] == [True, True]


def test_a_soft_mouth_is_sharpened_by_that_of_the_shot_which_is_most_alike():
    generator = np.random.default_rng(0)
    noise = [generator.uniform(0, 255, (256, 256, 3)).astype(np.float32) for _ in range(2)]
    wanted, other = (cv2.GaussianBlur(each, (0, 0), 2.0).round().astype(np.uint8) for each in noise)
    face = head_face(0.0)
    mouths = tuple(Anchor(picture, face) for picture in (other // 2, wanted, other))
    block = Block(range(2), shot=0)
    frames = [SuppliedFrame(n, block, wanted, face, wanted, Anchor(other, face, mouths)) for n in range(2)]
    drawn = [cv2.GaussianBlur(wanted, (0, 0), 3.0)] * 2
    mouth = np.s_[160:196, 96:160]
    before = np.abs(drawn[0][mouth].astype(int) - wanted[mouth]).mean()
    for sharp in sharpen_mouths(frames, drawn, drawn):
        assert np.abs(sharp[mouth].astype(int) - wanted[mouth]).mean() < 0.6 * before


def test_a_mouth_of_a_head_turned_otherwise_costs_more():
    mouths = [Anchor(np.zeros((64, 64, 3), np.uint8), head_face(shift)) for shift in (1.0, 9.0)]
    (near, far), (far_again, near_again) = turning_costs([head_face(2.0), head_face(8.0)], mouths)
    assert far > 3 * near > 0
    assert near == pytest.approx(near_again, rel=1e-4)
    assert far == pytest.approx(far_again, rel=1e-4)
    assert not turning_costs([frame_of(face_at(112, 112))], mouths).any()


def head_face(shift: float) -> FaceFrame:
    """A face whose head points lie `shift` pixels beside where its anchors say."""
    head = np.random.default_rng(1).uniform(80, 140, (len(POSE_POINTS), 2)).astype(np.float32)
    return frame_of(replace(face_at(112, 112), head=head + np.float32(shift)))


def frame_of(face: FaceLandmarks) -> FaceFrame:
    return FaceFrame(0, 0, fit_similarity(face.anchors), face)
