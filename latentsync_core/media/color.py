"""Colour: which matrix a file uses, and HDR brought down to what every screen shows.

The result is 8-bit H.264 in the source's own matrix and range, so untouched pixels go RGB and back by the same
numbers and the tags stay true. Untagged files stay untagged (a player will guess for ours as it did for theirs);
we guess as players do, by size. HDR (PQ or HLG) is the exception: 8 bits cannot carry it, so it is tone-mapped to
BT.709 (`ToneMapper`), and the report says so.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from latentsync_core.media.probe import VideoInfo

PQ, HLG = "smpte2084", "arib-std-b67"
SD_MAX_WIDTH, SD_MAX_HEIGHT = 1024, 576  # larger untagged pictures are taken for BT.709

#: ffprobe's name of a matrix -> the name that both swscale and libav's reformatter understand
MATRICES = {
    "bt709": "ITU709",
    "bt470bg": "ITU601",
    "smpte170m": "ITU601",
    "smpte240m": "SMPTE240M",
    "fcc": "FCC",
    "bt2020nc": "BT2020",
    "bt2020c": "BT2020",
}
FFMPEG_MATRICES = {"ITU709": "bt709", "ITU601": "bt601", "SMPTE240M": "smpte240m", "FCC": "fcc", "BT2020": "bt2020"}


@dataclass(frozen=True)
class ColorTags:
    """How the result's YUV is made and marked.

    Attributes:
        matrix: key of FFMPEG_MATRICES.
        full_range: True if Y runs 0..255, False for 16..235.
        space, primaries, transfer: what the file says (ffprobe's names), None = say nothing.
        tag_range: whether the file states its range.
    """

    matrix: str
    full_range: bool = False
    space: str | None = None
    primaries: str | None = None
    transfer: str | None = None
    tag_range: bool = False


BT709 = ColorTags("ITU709", False, "bt709", "bt709", "bt709", True)


def is_hdr(video: VideoInfo) -> bool:
    """Tell HDR (PQ or HLG transfer) from the rest."""
    return video.color_transfer in (PQ, HLG)


def source_matrix(video: VideoInfo) -> str:
    """Give the YUV matrix of a video, guessed by size if untagged; a key of FFMPEG_MATRICES."""
    if video.color_space in MATRICES:
        return MATRICES[video.color_space]
    return "ITU601" if video.width <= SD_MAX_WIDTH and video.height <= SD_MAX_HEIGHT else "ITU709"


def is_full_range(video: VideoInfo) -> bool:
    """Tell whether Y runs 0..255; the yuvj formats of old cameras say so in their name."""
    return video.color_range == "pc" or video.pix_fmt.startswith("yuvj")


def result_tags(video: VideoInfo) -> ColorTags:
    """Decide matrix, range and tags of the result made from this source."""
    if is_hdr(video) or video.is_picture or video.color_space in ("gbr", "rgb") or video.pix_fmt.startswith("gbr"):
        return BT709
    return ColorTags(
        matrix=source_matrix(video),
        full_range=is_full_range(video),
        space=_known(video.color_space),
        primaries=_known(video.color_primaries),
        transfer=_known(video.color_transfer),
        tag_range=video.color_range in ("tv", "pc") or is_full_range(video),
    )


def _known(tag: str) -> str | None:
    return None if tag in ("unknown", "reserved", "") else tag


class ToneMapper:
    """HDR to SDR by tables: BT.2020 PQ or HLG, 16-bit RGB, to BT.709, 8-bit RGB.

    PQ: SMPTE ST 2084; HLG: ITU-R BT.2100; primaries: BT.2087; curve: Reinhard's extended form on luminance, which
    leaves shadows and skin near their values and rolls highlights off (1.0 = diffuse white of 203 cd/m2, BT.2408).
    """

    DIFFUSE_WHITE = 203.0  # cd/m2
    PEAK = 1000.0 / DIFFUSE_WHITE
    BT2020_TO_BT709 = np.array(
        [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], dtype=np.float32
    )
    LUMINANCE = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
    OUTPUT_STEPS = 4096

    def __init__(self, transfer: str) -> None:
        signal = np.linspace(0.0, 1.0, 65536)
        self._to_linear = (_pq_to_linear(signal) if transfer == PQ else _hlg_to_linear(signal)).astype(np.float32)
        linear = np.linspace(0.0, 1.0, self.OUTPUT_STEPS)
        self._to_output = np.rint(255 * linear ** (1 / 2.4)).astype(np.uint8)  # BT.1886 display

    def __call__(self, frame: NDArray[np.uint16]) -> NDArray[np.uint8]:
        """Map (H, W, 3) uint16 RGB, 0..65535, to (H, W, 3) uint8 RGB."""
        linear = np.asarray(cv2.transform(self._to_linear[frame], self.BT2020_TO_BT709), dtype=np.float32)
        luminance = np.maximum(linear @ self.LUMINANCE, 1e-6)[..., None]
        linear = linear * ((1 + luminance / self.PEAK**2) / (1 + luminance))
        steps = np.clip(linear * (self.OUTPUT_STEPS - 1) + 0.5, 0, self.OUTPUT_STEPS - 1).astype(np.uint16)
        output: NDArray[np.uint8] = self._to_output[steps]
        return output


def _pq_to_linear(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """SMPTE ST 2084: 0..1 to light, 1.0 = diffuse white."""
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    root = signal ** (1 / m2)
    light: NDArray[np.float64] = (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)
    return light * 10000.0 / ToneMapper.DIFFUSE_WHITE


def _hlg_to_linear(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """BT.2100 HLG: 0..1 to light on a 1000 cd/m2 display, 1.0 = diffuse white (signal 0.75)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    light: NDArray[np.float64] = scene**1.2 * ToneMapper.PEAK  # system gamma 1.2, on each channel
    return light
