"""Which networks of others the metrics take, under which file names. No torch here.

All lie in one folder (`evaluate --weights DIR`, by default `models/evaluation`), where whoever may use them puts them;
nothing is downloaded. A metric whose file is missing is "not computed", and says what to put where. A StableSyncNet
of ours ships, and judges where no other is given.
"""

from dataclasses import dataclass
from pathlib import Path

from latentsync_core.bundle_catalog import MODELS_FOLDER
from latentsync_core.evaluation.fingerprint import fingerprint

DEFAULT_FOLDER = Path("models/evaluation")
SHIPPED_SYNCNET = MODELS_FOLDER / "mini_syncnet"
SHIPPED_FACE_FEATURES = MODELS_FOLDER / "mini_face_features"


@dataclass(frozen=True)
class WeightsFile:
    """One file: its name in the folder, what it is, where its authors publish it, the measures that need it."""

    name: str
    what: str
    source: str
    metrics: tuple[str, ...]


SYNCNET_V2 = WeightsFile(
    "syncnet_v2.model",
    "SyncNet v2",
    "github.com/joonson/syncnet_python (download_model.sh)",
    ("sync_confidence", "sync_distance", "sync_offset"),
)
INCEPTION = WeightsFile(
    "inception-2015-12-05.pt",
    "FID's Inception v3, TorchScript",
    "NVlabs stylegan2-ada-pytorch, pretrained/metrics",
    ("fid",),
)
I3D = WeightsFile(
    "i3d_torchscript.pt", "FVD's I3D, TorchScript", "github.com/universome/stylegan-v (src/metrics)", ("fvd",)
)
VGG = WeightsFile("vgg16-397923af.pth", "LPIPS's VGG-16", "download.pytorch.org/models (torchvision)", ("lpips",))
ARCFACE = WeightsFile(
    "arcface_backbone.pth",
    "ArcFace IResNet",
    "github.com/deepinsight/insightface (recognition/arcface_torch)",
    ("csim",),
)
STABLE_SYNCNET = WeightsFile(
    "stable_syncnet",
    "a folder of StableSyncNet (or --syncnet DIR)",
    "`train-syncnet`, its folder `best/`",
    ("stable_confidence", "stable_distance", "stable_offset", "stable_accuracy", "stable_preference"),
)
ALL = (SYNCNET_V2, STABLE_SYNCNET, INCEPTION, I3D, VGG, ARCFACE)


@dataclass(frozen=True)
class EvaluationWeights:
    """Where the networks are looked for.

    Attributes:
        folder: with files under the names above; it need not exist.
        stable_syncnet: another place of the StableSyncNet; None = in the folder, or else the one that ships.
    """

    folder: Path = DEFAULT_FOLDER
    stable_syncnet: Path | None = None

    def path_of(self, file: WeightsFile) -> Path:
        """Where a file belongs."""
        if file is not STABLE_SYNCNET:
            return self.folder / file.name
        if self.stable_syncnet is not None:
            return self.stable_syncnet
        in_folder = self.folder / file.name
        return in_folder if in_folder.exists() else SHIPPED_SYNCNET

    def missing(self, file: WeightsFile) -> str | None:
        """Say what to do about a file that is not there; None if it is."""
        path = self.path_of(file)
        return None if path.exists() else f"not computed: put {file.what} at {path} (from {file.source})"

    def fingerprint(self) -> list[str]:
        """What there is, so that figures made with other weights are not taken for these."""
        found = [self.path_of(file) for file in ALL if self.missing(file) is None]
        files = [part for path in found for part in ([path] if path.is_file() else sorted(path.iterdir()))]
        return [f"{path.name}:{fingerprint(path)}" for path in files]
