"""Step 6: how far sound and picture are apart, and the sound shifted so that they are not (after alignment).

An offset counts frames at 25 fps: +2 means that the sound comes two frames later than the lips, so that the sound of
frame n is found at frame n + 2. A SyncNet (syncnet_offset.py) is the tool for it. Without one there is only what this
file does with the mouth and the loudness. On 126 real clips known to be in sync (2 to 12 s) that gave an offset of at
most one frame for 67 %, at most two for 83 %; of the 31 whose correlation was above 0.5, at most one frame for 94 %.
Enough to see that a collection is off, not to correct each clip: it is reported, and shifts and drops only if asked.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from latentsync_core.data_preparation.dropped import Dropped
from latentsync_core.data_preparation.face_mesh import mouth_opening
from latentsync_core.data_preparation.resampling import SAMPLES_PER_FRAME
from latentsync_core.media.audio import SAMPLE_RATE

LARGEST_OFFSET = 6  # frames; beyond it a clip is dropped rather than shifted (the paper's limit)
LOUDNESS_WINDOW = 1024  # samples around the middle of a frame
VOICE_HZ = (300.0, 3400.0)
LOUDNESS_RANGE = 45.0  # dB below the loud frames; what is softer is silence
CHANGE_SMOOTHING = 1.0  # frames, standard deviation, before the derivative
LEAST_OVERLAP = 12  # frames that must remain at the largest lag


@dataclass(frozen=True)
class AlignedClip:
    """What a measure may look at: crops (F, R, R, 3) uint8, mesh (F, 468, 2) in crop pixels, pcm (640 F,) int16."""

    crops: NDArray[np.uint8]
    mesh: NDArray[np.float32]
    pcm: NDArray[np.int16]


@dataclass(frozen=True)
class SyncOffset:
    """An offset in frames (positive: the sound comes later), and how sure it is, on the measure's own scale."""

    frames: int
    confidence: float


class OffsetMeter(Protocol):
    """Measures the offset of one clip; `name` says what its confidence is."""

    name: str

    def measure_offset(self, clip: AlignedClip) -> SyncOffset | None:
        """Give the offset; None if the clip does not tell."""
        ...


class MouthLoudness:
    """Where the changes of mouth opening and loudness correlate best; the confidence is that correlation."""

    name = "mouth-loudness correlation"

    def measure_offset(self, clip: AlignedClip) -> SyncOffset | None:
        """Give the lag of the best correlation within 6 frames; None for a clip too short or without movement."""
        mouth, loudness = mouth_opening(clip.mesh), voice_loudness(clip.pcm)
        if len(mouth) < LARGEST_OFFSET + LEAST_OVERLAP:
            return None
        return best_lag(_change(mouth), _change(loudness), LARGEST_OFFSET)


def make_offset_meter(syncnet: Path | None) -> OffsetMeter:
    """Give the SyncNet of a checkpoint, or our own measure.

    Raises:
        BadCheckpoint: if the checkpoint cannot be used.
    """
    if syncnet is None:
        return MouthLoudness()
    from latentsync_core.data_preparation.syncnet_offset import SyncNetOffset  # torch, only where it is used

    return SyncNetOffset.from_checkpoint(syncnet)


def judge_offset(offset: SyncOffset | None, *, corrects: bool, min_confidence: float | None) -> int:
    """Say by how many frames the sound is to be shifted.

    Raises:
        Dropped: if the clip is not to be used.
    """
    if min_confidence is not None and (offset is None or offset.confidence < min_confidence):
        found = "nothing" if offset is None else f"{offset.confidence:.3g}"
        raise Dropped("low sync confidence", f"{found}, at least {min_confidence:g} is asked for")
    if not corrects or offset is None:
        return 0
    if abs(offset.frames) > LARGEST_OFFSET:
        raise Dropped("offset too large", f"{offset.frames:+d} frames, at most {LARGEST_OFFSET} are corrected")
    return offset.frames


def best_lag(picture: NDArray[np.float64], sound: NDArray[np.float64], largest: int) -> SyncOffset | None:
    """Give the lag at which two tracks (F,) of one rate correlate best: `sound[n + lag]` belongs to `picture[n]`."""
    scores = {}
    for lag in range(-largest, largest + 1):
        count = min(len(picture), len(sound)) - abs(lag)
        a = picture[max(0, -lag) :][:count]
        b = sound[max(0, lag) :][:count]
        a, b = a - a.mean(), b - b.mean()
        spread = np.sqrt((a * a).sum() * (b * b).sum())
        if spread < 1e-12:
            return None
        scores[lag] = float((a * b).sum() / spread)
    best = max(scores, key=lambda lag: (scores[lag], -abs(lag)))
    return SyncOffset(best, scores[best])


def voice_loudness(pcm: NDArray[np.int16]) -> NDArray[np.float64]:
    """Give the loudness of speech's band, (640 F,) int16 -> (F,) dB, at least that of the loud frames less 45."""
    count = len(pcm) // SAMPLES_PER_FRAME
    margin = (LOUDNESS_WINDOW - SAMPLES_PER_FRAME) // 2
    padded = np.pad(pcm.astype(np.float64) / 32768, (margin, LOUDNESS_WINDOW))
    starts = np.arange(count)[:, None] * SAMPLES_PER_FRAME
    windows = padded[starts + np.arange(LOUDNESS_WINDOW)[None]] * np.hanning(LOUDNESS_WINDOW)  # (F, window)
    power = np.abs(np.fft.rfft(windows)) ** 2
    hertz = np.fft.rfftfreq(LOUDNESS_WINDOW, 1 / SAMPLE_RATE)
    in_band = (hertz >= VOICE_HZ[0]) & (hertz < VOICE_HZ[1])
    decibels = 10 * np.log10(power[:, in_band].sum(axis=1) + 1e-7)
    return np.asarray(np.maximum(decibels, np.percentile(decibels, 95) - LOUDNESS_RANGE))


def _change(track: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.gradient(gaussian_filter1d(track, CHANGE_SMOOTHING)))
