"""Put a bundle folder together from trained parts (`export-bundle RECIPE.yaml`): float16 safetensors and configs."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from latentsync_core.bundle_catalog import BundleConfig
from latentsync_core.bundle_parts import find_weights
from latentsync_core.errors import BadCheckpoint
from latentsync_core.models.checkpoint import read_state_dict
from latentsync_core.models.unet import UNet3DConditionModel
from latentsync_core.models.unet_config import UNetConfig

WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class BundleRecipe:
    """Where the parts are and what bundle.json says."""

    out_dir: Path
    vae_dir: Path
    audio_encoder_dir: Path
    unet_weights: Path
    mask_path: Path
    bundle: dict[str, Any]
    model: dict[str, Any]
    scheduler: dict[str, Any]
    average_with: str = ""  # weights to average `unet_weights` with; they may lack temporal layers (arXiv:2203.05482)
    paste_mask_path: str = ""  # "" = the result is shown in the whole hole, with a soft edge


def export_bundle(recipe: BundleRecipe) -> int:
    """Write the bundle; gives its size in bytes.

    Raises:
        BadCheckpoint: if `bundle` is not a valid bundle.json, a part has no weights, or two U-Nets cannot be averaged.
        RuntimeError: from torch, if the U-Net's weights do not fit `model`.
    """
    BundleConfig.from_dict({"format": 1, **recipe.bundle}, "the recipe's bundle")
    recipe.out_dir.mkdir(parents=True, exist_ok=True)
    _write_json(recipe.out_dir / "bundle.json", {"format": 1, **recipe.bundle})
    for part, folder in (("vae", recipe.vae_dir), ("audio_encoder", recipe.audio_encoder_dir)):
        _write_json(recipe.out_dir / part / "config.json", json.loads((folder / "config.json").read_text()))
        _save_half(read_state_dict(find_weights(folder)), recipe.out_dir / part / WEIGHTS)
    unet = UNet3DConditionModel(UNetConfig.from_dict(recipe.model))
    unet.load_state_dict(_unet_weights(recipe))
    _write_json(recipe.out_dir / "unet" / "config.json", {"_class_name": type(unet).__name__, **unet.config.to_dict()})
    _save_half(unet.state_dict(), recipe.out_dir / "unet" / WEIGHTS)
    scheduler = {"_class_name": "DDIMScheduler", **recipe.scheduler}
    _write_json(recipe.out_dir / "scheduler" / "scheduler_config.json", scheduler)
    for given, name in ((str(recipe.mask_path), "mask.png"), (recipe.paste_mask_path, "paste_mask.png")):
        path = Path(given)
        if given and path.resolve() != (recipe.out_dir / name).resolve():
            shutil.copyfile(path, recipe.out_dir / name)
    return sum(path.stat().st_size for path in recipe.out_dir.rglob("*") if path.is_file())


def _unet_weights(recipe: BundleRecipe) -> dict[str, Tensor]:
    weights = read_state_dict(recipe.unet_weights)
    if not recipe.average_with:
        return weights
    others = read_state_dict(Path(recipe.average_with))
    lacking = [name for name in weights.keys() ^ others.keys() if name in others or "motion_modules" not in name]
    if lacking:
        raise BadCheckpoint(f"{recipe.average_with}: not of the same network as {recipe.unet_weights}: {lacking[:5]}")
    return {name: (value + others[name]) / 2 if name in others else value for name, value in weights.items()}


def _save_half(weights: dict[str, Tensor], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.half().contiguous() for key, value in weights.items()}, path)
    path.chmod(0o644)  # save_file makes it private, and the worker in a container is another user


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
