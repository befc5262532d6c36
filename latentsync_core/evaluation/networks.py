"""The networks that a run of metrics uses, loaded once per process."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from latentsync_core.bundle_catalog import MINI_FOLDER, read_json
from latentsync_core.diffusion.latents import Autoencoder
from latentsync_core.errors import BadCheckpoint
from latentsync_core.evaluation import weights as files
from latentsync_core.evaluation.judges import StableSyncNetJudge, SyncNetV2Judge
from latentsync_core.evaluation.weights import EvaluationWeights
from latentsync_core.models.arcface import IResNet, load_arcface
from latentsync_core.models.autoencoder import SpaceToDepthAutoencoder
from latentsync_core.models.checkpoint import load_strictly, read_state_dict
from latentsync_core.training.losses.face_features import FaceFeatures, load_face_feature_distance
from latentsync_core.training.losses.lpips_loss import load_lpips


@dataclass(frozen=True, eq=False)
class Networks:
    """None where the weights are missing; `EvaluationWeights.missing` says what to put where."""

    syncnet_v2: SyncNetV2Judge | None = None
    stable_syncnet: StableSyncNetJudge | None = None
    inception: Callable[..., Tensor] | None = None
    i3d: Callable[..., Tensor] | None = None
    lpips: nn.Module | None = None
    arcface: IResNet | None = None
    mini_vae: Autoencoder | None = None
    face_features: FaceFeatures | None = None


def load_networks(weights: EvaluationWeights) -> Networks:
    """Load all that is there.

    Raises:
        BadCheckpoint: for a file that is there and is something else.
    """

    def load(file: files.WeightsFile, read: Callable[[Path], object]) -> object:
        return read(weights.path_of(file)) if weights.missing(file) is None else None

    return Networks(
        load(files.SYNCNET_V2, SyncNetV2Judge.from_file),  # type: ignore[arg-type]
        load(files.STABLE_SYNCNET, StableSyncNetJudge.from_folder),  # type: ignore[arg-type]
        load(files.INCEPTION, _load_script),  # type: ignore[arg-type]
        load(files.I3D, _load_script),  # type: ignore[arg-type]
        load(files.VGG, load_lpips),  # type: ignore[arg-type]
        load(files.ARCFACE, load_arcface),  # type: ignore[arg-type]
        _load_mini_vae(),
        load_face_feature_distance(files.SHIPPED_FACE_FEATURES).features,
    )


def _load_script(path: Path) -> Callable[..., Tensor]:
    try:
        network = torch.jit.load(str(path), map_location="cpu")
    except (RuntimeError, ValueError) as error:
        raise BadCheckpoint(f"{path}: no TorchScript network ({str(error).splitlines()[0]})") from error
    network.eval()
    return network


def _load_mini_vae() -> Autoencoder:
    folder = MINI_FOLDER / "vae"
    vae = SpaceToDepthAutoencoder.from_config(read_json(folder / "config.json"))
    weights = folder / "model.safetensors"
    load_strictly(vae, read_state_dict(weights), str(weights))
    return cast(Autoencoder, vae.eval().requires_grad_(False))
