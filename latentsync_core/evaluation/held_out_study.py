"""A model on people it never saw: cross-driven (A's video, B's sound) and reconstruction (A's video, A's own sound).

The protocol of arXiv:2412.09262, section 4, in small: reconstruction for picture quality, cross generation for sync.
The sync measure is the correlation of mouth openings, which needs no trained judge; it is no SyncNet confidence.
"""

import json
import logging
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from latentsync_core.evaluation.clip_list import choose_pairs, list_held_out
from latentsync_core.evaluation.contact_sheet import write_contact_sheet
from latentsync_core.evaluation.face_clip import MeasuredClip, measure_clip
from latentsync_core.evaluation.mouth_sync import best_lag_correlation, spread_ratio
from latentsync_core.evaluation.picture_quality import lower_face_psnr, lower_face_ssim, sharpness_ratio
from latentsync_core.face.mediapipe_backend import MediapipeBackend
from latentsync_core.media.audio import SAMPLE_RATE, read_speech
from latentsync_core.media.probe import probe_media
from latentsync_core.options import LipSyncOptions
from latentsync_core.pipeline import LipSyncPipeline
from latentsync_core.timeline import plan_timeline

log = logging.getLogger(__name__)

RESULT_FRAMES_AT_MOST = 25 * 60


@dataclass(frozen=True)
class CrossDrivenScore:
    """One pair: A's video with B's sound."""

    video: str
    driver: str
    correlation_with_driver: float
    correlation_with_source: float
    spread: float


@dataclass(frozen=True)
class ReconstructionScore:
    """One clip with its own sound; PSNR in dB."""

    video: str
    psnr: float
    ssim: float
    sharpness: float
    correlation: float


def run_held_out_study(
    pipeline: LipSyncPipeline,
    data_dir: Path,
    out_dir: Path,
    num_pairs: int,
    options: LipSyncOptions,
    max_seconds: float = 60.0,
) -> dict[str, float]:
    """Generate, measure, and write scores.json and two contact sheets; returns the means.

    Args:
        data_dir: talking faces with manifest.csv.
        out_dir: for the results.
        num_pairs: cross-driven pairs.
        options: steps, guidance, seed.
        max_seconds: of every driver's sound that are used.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    held_out = list_held_out(data_dir)
    clips = [clip.path for clip in held_out]
    speech = {clip: _cut_speech(clip, out_dir / f"{clip.stem}.wav", max_seconds) for clip in clips}
    crossed, rebuilt = [], []
    crossed_rows, rebuilt_rows = [], []
    with MediapipeBackend() as detector:
        real = {clip: measure_clip(clip, detector) for clip in clips}
        for video, driver in choose_pairs(held_out, num_pairs):
            out = out_dir / f"{video.stem}--{driver.stem}.mp4"
            pipeline.run(video, speech[driver], out, options)
            result = measure_clip(out, detector, _ping_pong(real[video].fits, RESULT_FRAMES_AT_MOST))
            crossed.append(_score_crossed(video.stem, driver.stem, result, real[video], real[driver]))
            crossed_rows.append((f"{video.stem} speaks {driver.stem}", real[video].crops, result.crops))
            log.info("%s", crossed[-1])
        for video in clips:
            out = out_dir / f"{video.stem}.mp4"
            pipeline.run(video, speech[video], out, options)
            result = measure_clip(out, detector, real[video].fits)
            rebuilt.append(_score_rebuilt(video.stem, result, real[video]))
            rebuilt_rows.append((video.stem, real[video].crops, result.crops))
            log.info("%s", rebuilt[-1])
    means = {
        **{f"cross_driven.{key}": value for key, value in _means(crossed).items()},
        **{f"reconstruction.{key}": value for key, value in _means(rebuilt).items()},
    }
    scores = {"cross_driven": list(map(asdict, crossed)), "reconstruction": list(map(asdict, rebuilt))}
    (out_dir / "scores.json").write_text(json.dumps({"means": means, **scores}, indent=2) + "\n", encoding="utf-8")
    write_contact_sheet(out_dir / "cross_driven.png", crossed_rows)
    write_contact_sheet(out_dir / "reconstruction.png", rebuilt_rows)
    return means


def _cut_speech(clip: Path, out: Path, max_seconds: float) -> Path:
    """Write the beginning of a clip's sound as 16 kHz mono."""
    pcm = read_speech(probe_media(clip))[: round(max_seconds * SAMPLE_RATE)]
    soundfile.write(out, pcm, SAMPLE_RATE)
    return out


def _ping_pong(values: NDArray[Any], length: int) -> NDArray[Any]:
    """A's values, one per frame, in the order of the result: forward, backward, and so on."""
    sources = plan_timeline(len(values), Fraction(1), length).sources
    return values[list(sources)]


def _score_crossed(
    video: str, driver: str, result: MeasuredClip, source: MeasuredClip, spoken: MeasuredClip
) -> CrossDrivenScore:
    frames = min(len(result.openings), len(spoken.openings))
    old = _ping_pong(source.openings, frames)
    generated, real = result.openings[:frames], spoken.openings[:frames]
    return CrossDrivenScore(
        video,
        driver,
        best_lag_correlation(generated, real),
        best_lag_correlation(generated, old),
        spread_ratio(generated, real),
    )


def _score_rebuilt(video: str, result: MeasuredClip, source: MeasuredClip) -> ReconstructionScore:
    frames = min(len(result.crops), len(source.crops))
    has_face = ~np.isnan(source.openings[:frames])  # the others pass through untouched
    generated, real = result.crops[:frames][has_face], source.crops[:frames][has_face]
    return ReconstructionScore(
        video,
        lower_face_psnr(generated, real),
        lower_face_ssim(generated, real),
        sharpness_ratio(generated, real),
        best_lag_correlation(result.openings[:frames], source.openings[:frames]),
    )


def _means(scores: list[CrossDrivenScore] | list[ReconstructionScore]) -> dict[str, float]:
    rows = [{key: value for key, value in asdict(score).items() if isinstance(value, float)} for score in scores]
    return {key: round(float(np.nanmean([row[key] for row in rows])), 4) for key in rows[0]}
