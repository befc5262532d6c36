"""One result, measured: its scores, and its series for looking into it."""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from latentsync_core.data_preparation.sync_offset import voice_loudness
from latentsync_core.evaluation.judges import SyncJudge
from latentsync_core.evaluation.measures import BY_KEY, Mode
from latentsync_core.evaluation.metrics.fid import latent_features, picture_features
from latentsync_core.evaluation.metrics.flicker import frame_flicker
from latentsync_core.evaluation.metrics.fvd import video_features
from latentsync_core.evaluation.metrics.identity import FRAME_STEP, arcface_crop, identity_similarity
from latentsync_core.evaluation.metrics.landmark_distance import frame_lmd
from latentsync_core.evaluation.metrics.mouth_correlation import best_lag_correlation, spread_ratio
from latentsync_core.evaluation.metrics.own_face import own_face_likeness
from latentsync_core.evaluation.metrics.perceptual import mean_lpips
from latentsync_core.evaluation.metrics.psnr import frame_psnr, lower_face
from latentsync_core.evaluation.metrics.seam import frame_seam
from latentsync_core.evaluation.metrics.sharpness import frame_gradient
from latentsync_core.evaluation.metrics.silence import closed_in_silence, silence_movement, silent_frames
from latentsync_core.evaluation.metrics.ssim import frame_ssim
from latentsync_core.evaluation.metrics.success import is_success
from latentsync_core.evaluation.metrics.sync_confidence import sync_score
from latentsync_core.evaluation.metrics.sync_preference import sync_preference
from latentsync_core.evaluation.metrics.syncnet_accuracy import syncnet_accuracy
from latentsync_core.evaluation.networks import Networks
from latentsync_core.evaluation.seen_clip import SAMPLES_PER_FRAME, SeenClip, read_at_25

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Measured:
    """What one result gave.

    Attributes:
        frames: of the result that were looked at, at 25 fps.
        scores: by the keys of measures.py; absent where a network is missing or the pair does not tell.
        series: by name, one value a frame at 25 fps, None where there is none.
        features: of the measures of whole sets, by key: (N, D).
    """

    frames: int
    scores: dict[str, float]
    series: dict[str, list[float | None]]
    features: dict[str, NDArray[np.float32]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Heard:
    """A pair's sound, (N,) int16 at 16 kHz, and the driver's real mouth openings (F,) if there is a video of it."""

    pcm: NDArray[np.int16]
    driver_openings: Values | None


def measure_result(
    result: SeenClip, source: SeenClip, heard: Heard, mode: Mode, networks: Networks, vshift: int
) -> Measured:
    """Measure one result against its source and its sound.

    Args:
        result: cut with the source's alignments if both have one size.
        source: the real video.
        heard: the sound that the lips should follow.
        mode: how the pair was made; measures that mean nothing in it are left out.
        networks: those that are there.
        vshift: frames to either side that the sync judges search.
    """
    audible = len(heard.pcm) // SAMPLES_PER_FRAME
    scores, series = _mouth(result, source, heard, mode)
    wanted = min(audible, len(source.meshes))
    scores["success"] = float(is_success(result.has_face, source.has_face, wanted))
    for prefix, judge in (("sync", networks.syncnet_v2), ("stable", networks.stable_syncnet)):
        if judge is not None:
            _sync(judge, prefix, result, heard.pcm, vshift, scores, series)
    _pictures(result, source, networks, scores, series)
    kept = {key: value for key, value in scores.items() if mode in BY_KEY[key].modes and math.isfinite(value)}
    return Measured(len(result.meshes), kept, series, features_of(result, networks))


def features_of(clip: SeenClip, networks: Networks) -> dict[str, NDArray[np.float32]]:
    """Give the features of a clip's crops for the measures of whole sets."""
    seen = clip.crops[clip.has_face & ~np.isnan(clip.fits[:, 0, 0])]
    features = {}
    if networks.mini_vae is not None:
        features["vae_distance"] = latent_features(networks.mini_vae, seen)
    if networks.inception is not None:
        features["fid"] = picture_features(networks.inception, seen)
    if networks.i3d is not None:
        features["fvd"] = video_features(networks.i3d, clip.crops, clip.has_face)
    return features


def _mouth(
    result: SeenClip, source: SeenClip, heard: Heard, mode: Mode
) -> tuple[dict[str, float], dict[str, list[float | None]]]:
    """What needs the mesh only."""
    openings, silent = result.openings, silent_frames(heard.pcm)
    common = min(len(openings), len(source.openings))
    scores = {
        "leakage": best_lag_correlation(openings[:common], source.openings[:common]),
        "instant_leakage": best_lag_correlation(openings[:common], source.openings[:common], max_lag=0),
        "silence_movement": silence_movement(openings, silent),
        "silence_closed": closed_in_silence(openings, silent, source.openings),
    }
    loudness = voice_loudness(heard.pcm)[: len(openings)]
    series = {
        "opening": to_json(openings),
        "source_opening": to_json(source.openings[:common]),
        "loudness": to_json(loudness - loudness.max()),
    }
    if heard.driver_openings is not None:
        real = heard.driver_openings[: len(openings)]
        scores["driver_correlation"] = best_lag_correlation(openings, real)
        scores["instant_driver_correlation"] = best_lag_correlation(openings, real, max_lag=0)
        scores["spread"] = spread_ratio(openings[: len(real)], real) if np.nanstd(real) > 0 else math.nan
        series["driver_opening"] = to_json(real)
    if mode == "reconstruction":
        distances = frame_lmd(result.meshes[:common], source.meshes[:common], source.fits[:common])
        scores["lmd"] = mean_of(distances)
        series["lmd"] = to_json(distances)
    return scores, series


def _sync(
    judge: SyncJudge,
    prefix: str,
    result: SeenClip,
    pcm: NDArray[np.int16],
    vshift: int,
    scores: dict[str, float],
    series: dict[str, list[float | None]],
) -> None:
    tracks = judge.embed(result, pcm)
    if tracks is None:
        return
    score = sync_score(*tracks, vshift)
    scores |= {f"{prefix}_confidence": score.confidence, f"{prefix}_distance": score.distance}
    scores[f"{prefix}_offset"] = float(abs(score.offset))
    series[f"{prefix}_confidence"] = to_json(score.curve)
    if prefix == "stable":
        scores["stable_accuracy"] = syncnet_accuracy(*tracks)
        scores["stable_preference"] = sync_preference(*tracks)


def _pictures(
    result: SeenClip,
    source: SeenClip,
    networks: Networks,
    scores: dict[str, float],
    series: dict[str, list[float | None]],
) -> None:
    """What compares aligned crops, in the frames that show a face in both videos."""
    common = min(len(result.crops), len(source.crops))
    both = np.flatnonzero(result.has_face[:common] & source.has_face[:common])
    if len(both) < 3:
        return
    ours, real = result.crops[both], source.crops[both]
    values = {
        "psnr": frame_psnr(ours, real),
        "ssim": frame_ssim(ours, real),
        "lower_psnr": frame_psnr(lower_face(ours), lower_face(real)),
        "lower_ssim": frame_ssim(lower_face(ours), lower_face(real)),
        "seam": frame_seam(ours, real),
        "flicker": frame_flicker(ours) - frame_flicker(real),
    }
    scores |= {name: mean_of(track) for name, track in values.items()}
    gradients, real_gradients = frame_gradient(ours), frame_gradient(real)
    scores["sharpness"] = float(gradients.mean() / max(real_gradients.mean(), 1e-9))
    values["sharpness"] = gradients / np.maximum(real_gradients, 1e-9)
    for name, track in values.items():
        placed = np.full(common, np.nan)
        placed[both] = track
        series[name] = to_json(placed)
    if networks.face_features is not None:
        scores["own_face"] = own_face_likeness(networks.face_features, ours, real, both)
    if networks.lpips is not None:
        scores["lpips"] = mean_lpips(networks.lpips, ours, real)
    if networks.arcface is not None:
        looked_at = set(both[::FRAME_STEP].tolist())
        scores["csim"] = identity_similarity(
            networks.arcface, _identity_crops(result, looked_at), _identity_crops(source, looked_at)
        )


def _identity_crops(clip: SeenClip, looked_at: set[int]) -> NDArray[np.uint8]:
    frames = read_at_25(clip.path, (max(looked_at) + 1) / 25)
    return np.stack([arcface_crop(f, clip.meshes[n]) for n, f in enumerate(frames) if n in looked_at])


def mean_of(track: Values) -> float:
    """Give the mean of what is a number; NaN if nothing is."""
    return float(np.nanmean(track)) if np.isfinite(track).any() else math.nan


def to_json(track: NDArray[np.floating]) -> list[float | None]:
    """Give five digits of every number, None for what is none."""
    return [float(f"{value:.5g}") if math.isfinite(value) else None for value in track.tolist()]
