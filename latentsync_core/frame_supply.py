"""The frames of a result in order, each with all that its block needs: picture, aligned crop, place of the face."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from latentsync_core.errors import FaceNotFound
from latentsync_core.face.alignment import crop_face, crop_matrix
from latentsync_core.face.head_pose import pose_distance, turn_head
from latentsync_core.face.landmarks import FloatArray
from latentsync_core.face.mouth_detail import match_mouths, sharpen_mouth, sketch_mouth
from latentsync_core.face.reference import nearest_pose
from latentsync_core.face.tracking import FaceFrame
from latentsync_core.face.turned_away import shown_share
from latentsync_core.face_analysis import FaceAnalysis
from latentsync_core.media.frame_order import read_in_order
from latentsync_core.media.video_reader import RGBFrame, VideoReader
from latentsync_core.stage_clock import StageClock
from latentsync_core.timeline import Timeline, is_cut
from latentsync_core.windows import Block, FrameState

Crop = NDArray[np.uint8]  # (R, R, 3)

TURNING_COST = 40.0  # grey levels of a mouth's difference that a turn by the side of the crop is worth


@dataclass(frozen=True, eq=False)
class Anchor:
    """A reference frame: the aligned face (R, R, 3) uint8, and where it is.

    Attributes:
        mouths: other frames of the shot, turned about alike, that show how else the mouth stands.
    """

    crop: Crop
    face: FaceFrame
    mouths: tuple["Anchor", ...] = ()

    @cached_property
    def sketch(self) -> FloatArray:
        """What its mouth is compared by."""
        return sketch_mouth(self.crop)

    def turned_as(self, face: FaceFrame) -> Crop:
        """Draw the reference (R, R, 3) in the pose of another frame; as it is if the detector gave no head points."""
        given, wanted = (_head_in_crop(each, len(self.crop)) for each in (self.face, face))
        return self.crop if given is None or wanted is None else turn_head(self.crop, given, wanted)


@dataclass(frozen=True, eq=False)
class SuppliedFrame:
    """One result frame on its way.

    Attributes:
        index: number of the result frame.
        block: the block that it completes or belongs to.
        picture: (H, W, 3) uint8, as the source shows it.
        face: where the face is; None if the frame passes through.
        crop: (R, R, 3) uint8, the aligned face; None if the frame passes through.
        anchor: the reference frame of `block`; None without a face, or if each frame is its own reference.
        opacity: how much of the generated face is shown, in [0, 1].
    """

    index: int
    block: Block
    picture: RGBFrame
    face: FaceFrame | None
    crop: Crop | None
    anchor: Anchor | None
    opacity: float = 1.0


def frame_states(timeline: Timeline, analysis: FaceAnalysis) -> Iterator[FrameState]:
    """Say of every result frame which shot's face it shows, as the analysis goes on.

    Raises:
        FaceNotFound: at the end, if no frame shows a usable face.
    """
    before: int | None = None
    for index, source in enumerate(timeline.sources):
        shot = None
        if index < timeline.num_spoken:
            face = analysis.face_in(source)
            shot = face.shot if face.matrix is not None else None
        yield FrameState(index, shot, follows=before is not None and not is_cut(before, source))
        before = source
    if not analysis.has_face:
        raise FaceNotFound(analysis.frames_seen)


class FrameSupply:
    """Reads the frames of those blocks that are still needed; made for one thread.

    Args:
        reader: the source, open, for the frames in order.
        anchor_reader: the source, open once more, for single reference frames; None = every frame is its own reference.
        timeline: which source frame each result frame shows.
        analysis: where the face is.
        resolution: side R of the crops, pixels.
        clock: counts the seconds of decoding and cropping.
        max_yaw: heads turned further are shown as they were, degrees; None = all are drawn.

    Attributes:
        frames_with_face: result frames planned so far that show a usable face, also those not needed any more.
        frames_turned_away: those of them in which the head is turned too far.
    """

    def __init__(
        self,
        reader: VideoReader,
        anchor_reader: VideoReader | None,
        timeline: Timeline,
        analysis: FaceAnalysis,
        resolution: int,
        clock: StageClock,
        max_yaw: float | None = None,
    ) -> None:
        self._max_yaw = max_yaw
        self._reader, self._anchor_reader, self._timeline = reader, anchor_reader, timeline
        self._analysis, self._resolution, self._clock = analysis, resolution, clock
        self._anchors: dict[tuple[int, float], Anchor] = {}  # of one shot, by (shot, yaw)
        self.frames_with_face = self.frames_turned_away = 0

    def frames_of(self, blocks: Iterable[Block], first_needed: int) -> Iterator[SuppliedFrame]:
        """Give the frames of all blocks that hold frame `first_needed` or later ones; shared frames come once."""
        supplied_until = 0
        pictures: Iterator[RGBFrame] | None = None
        last: SuppliedFrame | None = None
        for block in blocks:
            if block.shot is not None:
                self.frames_with_face += len(block.frames) - block.lead
                self.frames_turned_away += sum(
                    self._opacity(self._analysis.face_in(self._timeline.sources[index])) == 0
                    for index in block.frames[block.lead :]
                )
            if block.frames.stop <= first_needed:
                continue
            start = max(block.frames.start, supplied_until)
            anchor = self._anchor(block)
            if pictures is None:
                pictures = read_in_order(self._reader, self._timeline.sources[start:])
            for index in range(start, block.frames.stop):
                with self._clock.measure("decode"):
                    picture = next(pictures)
                last = self._supply(index, block, picture, anchor, last)
                yield last
            supplied_until = block.frames.stop

    def _supply(
        self, index: int, block: Block, picture: RGBFrame, anchor: Anchor | None, last: SuppliedFrame | None
    ) -> SuppliedFrame:
        if block.shot is None:
            return SuppliedFrame(index, block, picture, None, None, None)
        face = self._analysis.face_in(self._timeline.sources[index])
        with self._clock.measure("crop"):
            if last is not None and last.picture is picture and last.face is face:
                crop = last.crop  # a still picture, or the frozen end
            else:
                crop = self._crop(picture, face)
        return SuppliedFrame(index, block, picture, face, crop, anchor, self._opacity(face))

    def _opacity(self, face: FaceFrame) -> float:
        if self._max_yaw is None or face.landmarks is None:
            return 1.0
        return shown_share(face.landmarks.yaw, self._max_yaw)

    def _crop(self, picture: RGBFrame, face: FaceFrame) -> Crop:
        assert face.matrix is not None
        return crop_face(picture, face.matrix, self._resolution)

    def _anchor(self, block: Block) -> Anchor | None:
        """Give the frame of the block's shot in which the face is turned as in the block."""
        if self._anchor_reader is None or block.shot is None:
            return None
        faces = [self._analysis.face_in(self._timeline.sources[index]).landmarks for index in block.frames]
        key = block.shot, nearest_pose([face.yaw for face in faces if face is not None])
        if key not in self._anchors:
            self._anchors = {known: anchor for known, anchor in self._anchors.items() if known[0] == block.shot}
            number = self._analysis.anchor_of(*key)
            numbers = sorted({number, *self._analysis.mouths_of(*key)})
            found = {}
            with self._clock.measure("decode"):
                for each, picture in zip(numbers, self._anchor_reader.pick(numbers), strict=True):
                    face = self._analysis.face_in(each)
                    found[each] = Anchor(self._crop(picture, face), face)
            self._anchors[key] = replace(found[number], mouths=tuple(found.values()))
        return self._anchors[key]


def references_of(frames: Sequence[SuppliedFrame]) -> list[Crop] | None:
    """Give the reference (R, R, 3) uint8 of each frame of a block: its anchor, the head turned as in the frame.

    Frames of the same face share one picture. None if each frame is its own reference.
    """
    anchor = frames[-1].anchor  # the first frames may have been supplied with the block before
    if anchor is None:
        return None
    references: list[Crop] = []
    for before, frame in zip([None, *frames], frames, strict=False):
        assert frame.face is not None
        same = before is not None and before.face is frame.face
        references.append(references[-1] if same else anchor.turned_as(frame.face))
    return references


class ReconstructedAnchors:
    """The reference frames as the autoencoder makes them; each is coded once, not again in every frame's pose.

    Args:
        reconstruct: encodes and decodes an aligned face (R, R, 3) uint8.
    """

    def __init__(self, reconstruct: Callable[[Crop], Crop]) -> None:
        self._reconstruct = reconstruct
        self._newest: tuple[Anchor, Anchor] | None = None  # an anchor, and its reconstruction in the same place

    def of(self, frames: Sequence[SuppliedFrame]) -> list[Crop]:
        """Give the reconstructed reference (R, R, 3) uint8 of each frame of a block, as `references_of`."""
        anchor = frames[-1].anchor
        assert anchor is not None
        if self._newest is None or self._newest[0] is not anchor:
            self._newest = anchor, Anchor(self._reconstruct(anchor.crop), anchor.face)
        coded = references_of([replace(frame, anchor=self._newest[1]) for frame in frames])
        assert coded is not None
        return coded


def sharpen_mouths(frames: Sequence[SuppliedFrame], faces: Sequence[Crop], drawn: Sequence[Crop]) -> list[Crop]:
    """Give generated faces the fine lips and teeth of their shot's own mouths, see `mouth_detail`.

    Args:
        frames: F of one block, with an anchor.
        faces: F generated faces (R, R, 3) uint8.
        drawn: the same as the network drew them.
    """
    anchor = frames[-1].anchor
    assert anchor is not None
    given = [frame.face for frame in frames if frame.face is not None]
    sketches = [mouth.sketch for mouth in anchor.mouths]
    chosen = match_mouths([sketch_mouth(face) for face in drawn], sketches, turning_costs(given, anchor.mouths))
    return [
        sharpen_mouth(shown, made, anchor.mouths[number].turned_as(face))
        for shown, made, number, face in zip(faces, drawn, chosen, given, strict=True)
    ]


def turning_costs(faces: Sequence[FaceFrame], mouths: Sequence[Anchor]) -> FloatArray:
    """How bad it is to turn N mouths into the poses of F faces, (F, N) grey levels; 0 without head points."""
    side = len(mouths[0].crop)
    wanted, given = ([_head_in_crop(each, side) for each in group] for group in (faces, [m.face for m in mouths]))
    if any(head is None for head in (*wanted, *given)):
        return np.zeros((len(wanted), len(given)))
    to, of = (np.stack([head for head in heads if head is not None]) for heads in (wanted, given))
    return TURNING_COST * pose_distance(of[None], to[:, None]) / side


def _head_in_crop(face: FaceFrame, resolution: int) -> FloatArray | None:
    if face.matrix is None or face.landmarks is None or face.landmarks.head is None:
        return None
    matrix = crop_matrix(face.matrix, resolution)
    return np.asarray(face.landmarks.head @ matrix[:, :2].T + matrix[:, 2])


def gather_blocks(frames: Iterable[SuppliedFrame]) -> Iterator[tuple[Block, list[SuppliedFrame]]]:
    """Put supplied frames together to whole blocks; the frames that two blocks share are given with both."""
    held: list[SuppliedFrame] = []
    for frame in frames:
        held.append(frame)
        if frame.index == frame.block.frames[-1]:
            yield frame.block, held
            held = held[len(held) - frame.block.tail :]
