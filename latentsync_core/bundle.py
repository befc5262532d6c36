"""A model bundle: all the networks and facts of one lip-sync model, loaded and ready.

A bundle is a folder (see `Bundle.from_folder`'s layout below) or one of the published models, put together from the
hub files in the cache:

    bundle.json               BundleConfig
    unet/                     config.json, model.safetensors: UNet3DConditionModel
    vae/                      config.json, model.safetensors: AutoencoderKL or SpaceToDepthAutoencoder
    audio_encoder/            config.json, model.safetensors: WhisperAudioEncoder or MelAudioEncoder
    scheduler/                scheduler_config.json: a diffusers scheduler
    mask.png                  white = pixels kept, black = generated
    paste_mask.png            (optional) white = the source shows, black = the result; else by mask.png
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import diffusers
import torch
from diffusers import DDIMScheduler
from torch import Tensor, nn

from latentsync_core.audio.audio_encoder import AudioEncoder
from latentsync_core.bundle_catalog import (
    DEFAULT_CACHE_DIR,
    OFFICIAL_BUNDLES,
    BundleConfig,
    OfficialBundle,
    bundle_folder,
    read_bundle_config,
    read_json,
)
from latentsync_core.bundle_download import DownloadProgress, download_bundle
from latentsync_core.bundle_parts import frozen, kind_of, load_audio_encoder, load_autoencoder
from latentsync_core.diffusion.latents import Autoencoder
from latentsync_core.errors import BadCheckpoint, BundleNotFound
from latentsync_core.face.mask import load_mask, official_mask
from latentsync_core.models.checkpoint import load_strictly, read_state_dict
from latentsync_core.models.unet import UNet3DConditionModel
from latentsync_core.models.unet_config import UNetConfig

__all__ = ["Bundle", "DownloadProgress", "choose_device", "download_bundle", "load_bundle", "official_scheduler"]

WEIGHTS = "model.safetensors"
#: diffusers schedulers that a bundle may name.
SCHEDULERS = ("DDIMScheduler", "DDPMScheduler", "DPMSolverMultistepScheduler", "EulerDiscreteScheduler")
PartT = TypeVar("PartT")


@dataclass(frozen=True)
class Bundle:
    """One lip-sync model on one device.

    Attributes:
        name: by which it was asked for: of the catalogue, or the folder.
        config: its facts.
        unet, vae, audio_encoder: networks in evaluation mode. U-Net and VAE are in `dtype`; the audio encoder is
            small and stays float32.
        scheduler: a diffusers scheduler; `prediction_type` in its config says what the U-Net predicts.
        mask: (1, 1, R, R) float32 in [0, 1] on the device, 1 = keep, 0 = generate.
        paste_mask: (1, 1, R, R) float32 in [0, 1], 1 = the source shows, 0 = the result; None = by `mask`.
        device, dtype: of the networks.
    """

    name: str
    config: BundleConfig
    unet: UNet3DConditionModel
    vae: Autoencoder
    audio_encoder: AudioEncoder
    scheduler: Any
    mask: Tensor
    device: torch.device
    dtype: torch.dtype
    paste_mask: Tensor | None = None


def load_bundle(
    name_or_folder: str | Path,
    device: str | torch.device = "auto",
    dtype: torch.dtype | None = None,
    cache_dir: Path | None = None,
) -> Bundle:
    """Load a bundle that is on this machine.

    Args:
        name_or_folder: "mini", "latentsync-1.5", "latentsync-1.6", or a bundle's folder.
        device: "auto" takes the GPU if there is one.
        dtype: of U-Net and VAE; None takes float16 on a GPU and the bundle's choice on a CPU.
        cache_dir: where downloads lie; None = DEFAULT_CACHE_DIR.

    Raises:
        BundleNotFound: if there is no such bundle, or it has not been downloaded yet.
        BadCheckpoint: if its files are broken or do not fit each other.
    """
    device = choose_device(str(device))
    folder = bundle_folder(name_or_folder)
    if folder is not None:
        config = read_bundle_config(folder)
        dtype = dtype or _default_dtype(config, device)
        return _load_folder(str(name_or_folder), folder, config, device, dtype)
    official = OFFICIAL_BUNDLES[str(name_or_folder)]
    dtype = dtype or _default_dtype(official.config, device)
    return _load_official(official, cache_dir or DEFAULT_CACHE_DIR, device, dtype)


def choose_device(device: str) -> torch.device:
    """Turn "auto", "cpu" or "cuda" into a device that is there.

    Raises:
        BundleNotFound: if a GPU is asked for and there is none.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise BundleNotFound("No CUDA device was found on this machine: use --device cpu or auto.")
    return torch.device(device)


def official_scheduler() -> DDIMScheduler:
    """Build the scheduler that the published checkpoints were trained and are sampled with."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type="epsilon",
    )


def _default_dtype(config: BundleConfig, device: torch.device) -> torch.dtype:
    return torch.float16 if device.type == "cuda" else cast(torch.dtype, getattr(torch, config.cpu_dtype))


def _load_folder(name: str, folder: Path, config: BundleConfig, device: torch.device, dtype: torch.dtype) -> Bundle:
    unet_config = _unet_config(folder / "unet" / "config.json")
    paste_mask = folder / "paste_mask.png"
    return Bundle(
        name=name,
        config=config,
        unet=_load_unet(unet_config, folder / "unet" / WEIGHTS, device, dtype),
        vae=_placed(load_autoencoder(folder / "vae" / "config.json"), device, dtype),
        audio_encoder=_placed(load_audio_encoder(folder / "audio_encoder"), device),
        scheduler=_load_scheduler(folder / "scheduler" / "scheduler_config.json"),
        mask=torch.from_numpy(load_mask(folder / "mask.png", config.resolution)).to(device),
        paste_mask=torch.from_numpy(load_mask(paste_mask, config.resolution)) if paste_mask.is_file() else None,
        device=device,
        dtype=dtype,
    )


def _load_official(official: OfficialBundle, cache_dir: Path, device: torch.device, dtype: torch.dtype) -> Bundle:
    config = official.config
    absent = [file.path for file in official.files if not file.is_verified(cache_dir)]
    if absent:
        raise BundleNotFound(
            f"{config.name} is not on this machine yet ({', '.join(absent)} missing in {cache_dir}). "
            f"Download it with: python -m latentsync_core models download {config.name}"
        )
    vae = load_autoencoder(official.vae_config.local_path(cache_dir), official.vae.local_path(cache_dir))
    return Bundle(
        name=config.name,
        config=config,
        unet=_load_unet(UNetConfig(), official.unet.local_path(cache_dir), device, dtype),
        vae=_placed(vae, device, dtype),
        audio_encoder=_placed(load_audio_encoder(official.whisper.local_path(cache_dir)), device),
        scheduler=official_scheduler(),
        mask=torch.from_numpy(official_mask(config.resolution)).to(device),
        device=device,
        dtype=dtype,
    )


def _load_unet(config: UNetConfig, weights: Path, device: torch.device, dtype: torch.dtype) -> UNet3DConditionModel:
    """Load the one large network without ever holding a second copy of it in full precision."""
    with torch.device("meta"):
        unet = UNet3DConditionModel(config)
    unet = unet.to(dtype).to_empty(device=device)
    load_strictly(unet, read_state_dict(weights), str(weights))
    return frozen(unet)


def _placed(part: PartT, device: torch.device, dtype: torch.dtype | None = None) -> PartT:
    nn.Module.to(cast(nn.Module, part), device=device, dtype=dtype)  # diffusers' own `to` warns about an empty list
    return part


def _load_scheduler(config_file: Path) -> Any:
    config = read_json(config_file)
    kinds = {name: getattr(diffusers, name) for name in SCHEDULERS}
    return kind_of(config, kinds, config_file).from_config(config)


def _unet_config(config_file: Path) -> UNetConfig:
    try:
        return UNetConfig.from_dict(read_json(config_file))
    except (TypeError, ValueError) as error:
        raise BadCheckpoint(f"{config_file}: {error}") from error
