"""A video as a stream of upright RGB frames, read by number, forward or from any place, in constant memory.

Frames are found by their own timestamps (see `frame_grid`), never by counting, so a file with a variable rate, a
damaged part or an edit list still gives every frame its right place. What cannot be decoded is replaced by the
picture before it, as a player does, and counted.
"""

import logging
import threading
from collections.abc import Iterator, Sequence
from fractions import Fraction
from types import TracebackType
from typing import Self

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray
from PIL import Image, ImageOps

from latentsync_core.errors import UnreadableMedia
from latentsync_core.media.color import ToneMapper, is_full_range, is_hdr, source_matrix
from latentsync_core.media.ffmpeg import shown
from latentsync_core.media.frame_grid import FrameGrid
from latentsync_core.media.opening import open_video
from latentsync_core.media.probe import PICTURE_FORMATS, MediaInfo, VideoInfo
from latentsync_core.streaming import Stopped

logger = logging.getLogger(__name__)

RGBFrame = NDArray[np.uint8]  # (H, W, 3), upright

MAX_PICTURE_SIDE = 1920  # a still picture is reduced to this: phones take 50 megapixels, films need two
SEEK_BACK = (Fraction(0), Fraction(2), Fraction(12))  # seconds before the wanted frame to try, then the beginning
ACCURATE = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


class VideoReader:
    """Reads frames of one source; open it with `with`, use it from one thread (`stop` may come from another).

    Attributes:
        width, height: of every frame that `read` gives.
        num_held: frames so far that could not be decoded and show the picture before them.
    """

    def __init__(self, info: MediaInfo, grid: FrameGrid) -> None:
        self._info, self._grid = info, grid
        self._video = info.require_video()
        self.num_held = 0
        self._is_stopped = threading.Event()
        self._picture = _load_picture(info) if self._video.is_picture else None
        self._convert = _Converter(self._video)
        if self._picture is not None:
            self.height, self.width = self._picture.shape[:2]
        else:
            self.width, self.height = self._video.width, self._video.height

    def __enter__(self) -> Self:
        if self._picture is None:
            self._opened = open_video(self._info.path)
            self._container, self._stream = self._opened.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._picture is None:
            self._opened.__exit__(kind, error, traceback)

    def read(self, start: int, stop: int) -> Iterator[RGBFrame]:
        """Give source frames start..stop-1, one after the other.

        Raises:
            UnreadableMedia: if not a single frame can be decoded.
            Stopped: if `stop` was called meanwhile.
        """
        return self.pick(range(start, stop))

    def pick(self, numbers: Sequence[int]) -> Iterator[RGBFrame]:
        """Give the source frames of these numbers, which rise, in one pass; raises as `read`."""
        if not numbers:
            return
        if self._picture is not None:
            for _ in numbers:
                yield self._picture
            return
        last: tuple[VideoFrame, RGBFrame] | None = None
        decoded = self._decode_from(self._ticks(numbers[0]))
        shown_now, coming = next(decoded, None), next(decoded, None)
        if shown_now is None:
            raise UnreadableMedia(f"{shown(self._info.path)} cannot be decoded; the file is broken.")
        for number in numbers:
            while coming is not None and _time(coming) <= self._ticks(number):
                shown_now, coming = coming, next(decoded, None)
            if last is None or last[0] is not shown_now:
                last = (shown_now, self._convert(shown_now))
            elif coming is None and not self._grid.is_resampled:
                self.num_held += 1
            yield last[1]

    def stop(self) -> None:
        """End a read that is under way, at the next frame, by raising Stopped there."""
        self._is_stopped.set()

    def _ticks(self, number: int) -> int:
        """The middle of a frame's interval in units of the stream's time base."""
        return int(self._grid.time_of(number) / self._time_base)

    @property
    def _time_base(self) -> Fraction:
        time_base: Fraction | None = self._stream.time_base
        if time_base is None:
            raise UnreadableMedia(f"{shown(self._info.path)} has no clock; the file is broken.")
        return time_base

    def _decode_from(self, ticks: int) -> Iterator[VideoFrame]:
        """Decode from the picture on display at `ticks`, or the first there is."""
        for seconds in (*SEEK_BACK, None):
            target = None if seconds is None else ticks - int(seconds / self._time_base)
            if target is not None and not self._seek(target):
                continue
            if target is None:
                self._reopen()
            frames = self._decode()
            first = next(frames, None)
            if first is None or (target is not None and _time(first) > ticks):
                continue  # the seek landed too late (open GOP, missing index): go further back
            before = first
            for frame in frames:
                if _time(frame) > ticks:
                    yield before
                    yield frame
                    break
                before = frame
            else:
                yield before
            yield from frames
            return

    def _seek(self, ticks: int) -> bool:
        try:
            self._container.seek(ticks, stream=self._stream, backward=True)
        except av.error.FFmpegError:
            return False  # no index, or before the beginning: the caller tries another way
        return True

    def _reopen(self) -> None:
        self._opened.__exit__(None, None, None)
        self._opened = open_video(self._info.path)
        self._container, self._stream = self._opened.__enter__()

    def _decode(self) -> Iterator[VideoFrame]:
        """Decode on from where the container stands; damaged packets are left out."""
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except (StopIteration, av.error.EOFError):
                return
            except av.error.FFmpegError as error:
                logger.warning("%s: reading stops at damage: %s", self._info.path.name, error)
                return
            try:
                frames = packet.decode()
            except av.error.FFmpegError as error:
                logger.warning("%s: a damaged packet is left out: %s", self._info.path.name, error)
                continue
            if self._is_stopped.is_set():
                raise Stopped
            for frame in frames:
                if isinstance(frame, VideoFrame) and (frame.pts is not None or frame.dts is not None):
                    yield frame


class _Converter:
    """libav's frames to upright RGB: matrix, range, bit depth, HDR, rotation, one size throughout."""

    def __init__(self, video: VideoInfo) -> None:
        self._video = video
        self._reformatter = VideoReformatter()
        self._tone_mapper = ToneMapper(video.color_transfer) if is_hdr(video) else None
        self._matrix = Colorspace[source_matrix(video)]
        self._range = ColorRange.JPEG if is_full_range(video) else ColorRange.MPEG
        sideways = video.rotation in (90, 270)
        self._size = (video.height, video.width) if sideways else (video.width, video.height)

    def __call__(self, frame: VideoFrame) -> RGBFrame:
        rgb = self._reformatter.reformat(
            frame,
            *self._size,
            format="rgb24" if self._tone_mapper is None else "rgb48le",
            src_colorspace=self._matrix,
            dst_colorspace=self._matrix,
            interpolation=ACCURATE,
            src_color_range=self._range,
            dst_color_range=ColorRange.JPEG,
            threads=1,
        ).to_ndarray()
        if self._tone_mapper is not None:
            rgb = self._tone_mapper(rgb.astype(np.uint16, copy=False))
        return np.ascontiguousarray(np.rot90(rgb, -self._video.rotation // 90))


def _time(frame: VideoFrame) -> int:
    time = frame.pts if frame.pts is not None else frame.dts
    return 0 if time is None else int(time)


def _load_picture(info: MediaInfo) -> RGBFrame:
    try:
        with Image.open(info.path, formats=PICTURE_FORMATS) as picture:
            picture.draft("RGB", (MAX_PICTURE_SIDE, MAX_PICTURE_SIDE))
            upright = ImageOps.exif_transpose(picture).convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise UnreadableMedia(f"{shown(info.path)} is a broken picture: {error}") from error
    upright.thumbnail((MAX_PICTURE_SIDE, MAX_PICTURE_SIDE), Image.Resampling.LANCZOS)
    return np.asarray(upright).copy()
