"""Frames to H.264: the one lossy encode of the result, by an ffmpeg child fed over a pipe.

4:2:0 needs even sides, so a source of odd width or height gains one column or row, a copy of its last one; nothing of
the picture is lost. The file appears under its name only when it is complete and readable.
"""

import contextlib
import subprocess
import tempfile
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from latentsync_core.errors import EncodingFailed
from latentsync_core.media.color import FFMPEG_MATRICES, ColorTags
from latentsync_core.media.ffmpeg import file_url, last_lines
from latentsync_core.media.video_reader import RGBFrame

CRF = 16  # visually lossless for faces; a 10 s 1080p talking head takes some 6 MB
PRESET = "veryfast"  # at this CRF the slower presets save a fifth of the size for three times the time
FINISH_SECONDS = 120.0
KEYFRAME_SECONDS = 2


def even_size(width: int, height: int) -> tuple[int, int]:
    """Give the size of the result for a source of this size."""
    return width + width % 2, height + height % 2


class VideoWriter:
    """Writes one mp4 without sound; use it with `with`: leaving by an error leaves no file.

    Args:
        out: the file to write.
        size: (width, height) of the frames, which may be odd.
        fps: frames per second.
        tags: matrix, range and tags of the result.
        sample_aspect_ratio: width of a pixel over its height.
    """

    def __init__(
        self,
        out: Path,
        size: tuple[int, int],
        fps: Fraction,
        tags: ColorTags,
        sample_aspect_ratio: Fraction = Fraction(1),
    ) -> None:
        self._out, self._partial = out, out.with_name(f"{out.name}.part")
        self._size, self._even = size, even_size(*size)
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed by _clean_up
        self._child = subprocess.Popen(
            _arguments(self._partial, self._even, fps, tags, sample_aspect_ratio),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._stderr,
        )
        self.num_frames = 0

    def write(self, frame: RGBFrame) -> None:
        """Encode one frame (H, W, 3) uint8 RGB.

        Raises:
            EncodingFailed: if ffmpeg has given up; with its stderr.
        """
        width, height = self._size
        if frame.shape != (height, width, 3) or frame.dtype != np.uint8:
            raise ValueError(f"expected a ({height}, {width}, 3) uint8 frame, got {frame.shape} {frame.dtype}")
        if self._even != self._size:
            frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(np.ascontiguousarray(frame).data)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise EncodingFailed(f"ffmpeg stopped while encoding: {self._reason()}") from error
        self.num_frames += 1

    def close(self) -> None:
        """Finish the file and give it its name.

        Raises:
            EncodingFailed: if ffmpeg fails or does not end in time.
        """
        assert self._child.stdin is not None
        try:
            self._child.stdin.close()
            code = self._child.wait(FINISH_SECONDS)
        except (BrokenPipeError, subprocess.TimeoutExpired) as error:
            reason = self._reason()
            self.abort()
            raise EncodingFailed(f"ffmpeg could not finish {self._out.name}: {reason}") from error
        reason = self._reason()
        self._stderr.close()
        if code != 0:
            self._partial.unlink(missing_ok=True)
            raise EncodingFailed(f"ffmpeg could not write {self._out.name}: {reason}")
        self._partial.replace(self._out)

    def abort(self) -> None:
        """Stop ffmpeg at once and leave no file."""
        self._child.kill()
        self._child.wait()
        if self._child.stdin is not None and not self._child.stdin.closed:
            with contextlib.suppress(BrokenPipeError):  # bytes that were still on their way to the child
                self._child.stdin.close()
        self._stderr.close()
        self._partial.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        elif self._child.returncode is None or self._partial.exists():
            self.abort()

    def _reason(self) -> str:
        self._stderr.seek(0)
        return last_lines(self._stderr.read()) or "no reason given"


def _arguments(
    out: Path, size: tuple[int, int], fps: Fraction, tags: ColorTags, sample_aspect_ratio: Fraction
) -> list[str]:
    matrix, output_range = FFMPEG_MATRICES[tags.matrix], "pc" if tags.full_range else "tv"
    conversion = f"scale=in_range=pc:out_range={output_range}:out_color_matrix={matrix}"
    conversion += ":flags=bicubic+accurate_rnd+full_chroma_inp"
    conversion += f",format=yuv420p,setsar={sample_aspect_ratio.numerator}/{sample_aspect_ratio.denominator}"
    arguments = ["ffmpeg", "-v", "error", "-nostdin", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24"]
    arguments += ["-s", f"{size[0]}x{size[1]}", "-r", str(fps), "-i", "pipe:0", "-vf", conversion]
    arguments += ["-c:v", "libx264", "-preset", PRESET, "-crf", str(CRF), "-pix_fmt", "yuv420p"]
    arguments += ["-g", str(round(fps * KEYFRAME_SECONDS)), "-r", str(fps)]
    arguments += _tag_arguments(tags)
    clock = str(fps.numerator * (10_000 // fps.numerator + 1))  # frames last whole ticks
    arguments += ["-video_track_timescale", clock, "-movie_timescale", clock, "-map_metadata", "-1"]
    return [*arguments, "-movflags", "+faststart", "-f", "mp4", file_url(out)]


def _tag_arguments(tags: ColorTags) -> list[str]:
    arguments = ["-color_range", "pc" if tags.full_range else "tv"] if tags.tag_range else []
    named = {"-colorspace": tags.space, "-color_primaries": tags.primaries, "-color_trc": tags.transfer}
    for option, value in named.items():
        arguments += [option, value or "unknown"]
    return arguments
