"""The model bundles there are, and whether they are on this machine. No torch here: web pages read this."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from latentsync_core.errors import BadCheckpoint, BundleNotFound

log = logging.getLogger(__name__)

MODELS_FOLDER = Path(__file__).resolve().parent.parent / "models"
MINI_FOLDER = MODELS_FOLDER / "mini"
DEFAULT_CACHE_DIR = Path.home() / ".cache" / "latentsync-studio"
#: Written next to a downloaded file once its checksum has been found right; holds the file's size and checksum.
VERIFIED_SUFFIX = ".verified.json"

Reference = Literal["same_frame", "anchor"]
WeightType = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class BundleConfig:
    """What the pipeline must know of a bundle: the content of its bundle.json.

    Attributes:
        name, title, description, license_note: for people.
        resolution: side of the aligned face in pixels.
        window_frames: frames that the temporal layers see at once.
        window_overlap: of them shared with the next window, as benchmarks/window_joins measured it.
        video_fps: frame rate that the temporal layers learnt with.
        default_steps, default_guidance: where the user chooses nothing.
        reference: "same_frame" shows the U-Net each frame's own face, "anchor" one frame of the
            shot for each pose, the head turned as in the frame.
        residual_reference: the U-Net predicts the change against the reference latents.
        audio_context_frames: frames of 1/25 s heard on each side of a frame.
        max_yaw: heads turned further than this, degrees, are shown as they were; the result fades out before. None =
            all that the tracker finds usable are drawn.
        cpu_dtype: what its networks run in on a CPU (faster or exact, as measured).
    """

    name: str
    title: str
    description: str
    license_note: str
    resolution: int
    window_frames: int = 16
    window_overlap: int = 4
    video_fps: float = 25.0
    default_steps: int = 20
    default_guidance: float = 1.5
    reference: Reference = "same_frame"
    residual_reference: bool = False
    audio_context_frames: int = 2
    max_yaw: float | None = None
    cpu_dtype: WeightType = "float32"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str) -> "BundleConfig":
        """Read the content of a bundle.json.

        Raises:
            BadCheckpoint: for a missing or unknown key, or an unknown choice; `source` names the file.
        """
        chosen = {key: value for key, value in values.items() if key != "format"}
        known = {f.name for f in fields(cls)}
        unknown = chosen.keys() - known
        missing = {"name", "title", "description", "license_note", "resolution"} - chosen.keys()
        if values.get("format") != 1 or unknown or missing:
            raise BadCheckpoint(
                f"{source}: not a bundle of format 1 (missing: {sorted(missing)}, unknown: {sorted(unknown)})"
            )
        for key, allowed in (("reference", get_args(Reference)), ("cpu_dtype", get_args(WeightType))):
            if key in chosen and chosen[key] not in allowed:
                raise BadCheckpoint(f"{source}: {key} must be one of {', '.join(allowed)}, got {chosen[key]!r}")
        return cls(**chosen)


@dataclass(frozen=True)
class HubFile:
    """One file of a hub repository; `bytes` is its size, rounded, for planning a download."""

    repository: str
    path: str
    bytes: int

    def local_path(self, cache_dir: Path) -> Path:
        return cache_dir / self.repository.replace("/", "--") / self.path

    def is_verified(self, cache_dir: Path) -> bool:
        """Whether the file was downloaded, found right, and still has its size."""
        path = self.local_path(cache_dir)
        marker = path.with_name(path.name + VERIFIED_SUFFIX)
        if not (path.is_file() and marker.is_file()):
            return False
        return bool(json.loads(marker.read_text(encoding="utf-8"))["size"] == path.stat().st_size)


@dataclass(frozen=True)
class OfficialBundle:
    """A published model and the hub files it is put together from."""

    config: BundleConfig
    unet: HubFile
    whisper: HubFile
    vae_config: HubFile = field(default=HubFile("stabilityai/sd-vae-ft-mse", "config.json", 547))
    vae: HubFile = field(
        default=HubFile("stabilityai/sd-vae-ft-mse", "diffusion_pytorch_model.safetensors", 335_000_000)
    )

    @property
    def files(self) -> tuple[HubFile, ...]:
        return (self.unet, self.whisper, self.vae_config, self.vae)


@dataclass(frozen=True)
class BundleInfo:
    """One line of the catalogue, for people."""

    name: str
    title: str
    resolution: int
    default_steps: int
    default_guidance: float
    description: str
    license_note: str
    is_available: bool
    download_bytes: int


def _official(version: str, resolution: int, description: str) -> OfficialBundle:
    repository = f"ByteDance/LatentSync-{version}"
    config = BundleConfig(
        name=f"latentsync-{version}",
        title=f"LatentSync {version}",
        description=description,
        license_note="Weights by ByteDance under OpenRAIL++; not part of this repository.",
        resolution=resolution,
    )
    return OfficialBundle(
        config,
        unet=HubFile(repository, "latentsync_unet.pt", 5_070_000_000),
        whisper=HubFile(repository, "whisper/tiny.pt", 75_600_000),
    )


OFFICIAL_BUNDLES: dict[str, OfficialBundle] = {
    bundle.config.name: bundle
    for bundle in (
        _official("1.5", 256, "The published model with temporal layers. Needs about 8 GB of GPU memory."),
        _official("1.6", 512, "The published model trained at twice the resolution. Needs about 18 GB of GPU memory."),
    )
}


def list_bundles(cache_dir: Path | None = None) -> list[BundleInfo]:
    """List the bundles in `models/` (the small one first, then home-trained ones) and the official ones.

    A bundle is known by its folder's name. One that cannot be read is left out, with a warning in the log.

    Args:
        cache_dir: where downloads lie; None = DEFAULT_CACHE_DIR.
    """
    cache_dir = cache_dir or DEFAULT_CACHE_DIR
    bundles = []
    found = (path.parent for path in MODELS_FOLDER.glob("*/bundle.json"))
    for folder in sorted(found, key=lambda folder: (folder.name != MINI_FOLDER.name, folder.name)):
        try:
            config = read_bundle_config(folder)
        except BadCheckpoint as error:
            log.warning("%s", error)
            continue
        title = config.title if config.name == folder.name else f"{config.title} ({folder.name})"
        named = replace(config, name=folder.name, title=title)
        bundles.append(_info(named, is_available=True, download_bytes=0))
    for official in OFFICIAL_BUNDLES.values():
        absent = [file.bytes for file in official.files if not file.is_verified(cache_dir)]
        bundles.append(_info(official.config, is_available=not absent, download_bytes=sum(absent)))
    return bundles


def bundle_folder(name_or_folder: str | Path) -> Path | None:
    """Find a bundle's folder, by its name in `models/` or by its path; None for an official one.

    Raises:
        BundleNotFound: if it is neither.
    """
    if str(name_or_folder) in OFFICIAL_BUNDLES:
        return None
    in_models = MODELS_FOLDER / name_or_folder  # an absolute path stays one
    folder = in_models if (in_models / "bundle.json").is_file() else Path(name_or_folder)
    if not (folder / "bundle.json").is_file():
        known = ", ".join(["mini", *OFFICIAL_BUNDLES])
        raise BundleNotFound(
            f"There is no model {str(name_or_folder)!r}: choose one of {known}, or a folder that holds a bundle.json."
        )
    return folder


def read_bundle_config(folder: Path) -> BundleConfig:
    """Read a folder's bundle.json.

    Raises:
        BadCheckpoint: if it is broken.
    """
    return BundleConfig.from_dict(read_json(folder / "bundle.json"), str(folder / "bundle.json"))


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        BadCheckpoint: naming the file, if it is missing or broken.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadCheckpoint(f"{path}: not a readable JSON file ({error})") from error
    if not isinstance(content, dict):
        raise BadCheckpoint(f"{path}: a JSON object was expected")
    return content


def _info(config: BundleConfig, *, is_available: bool, download_bytes: int) -> BundleInfo:
    return BundleInfo(
        name=config.name,
        title=config.title,
        resolution=config.resolution,
        default_steps=config.default_steps,
        default_guidance=config.default_guidance,
        description=config.description,
        license_note=config.license_note,
        is_available=is_available,
        download_bytes=download_bytes,
    )
