"""The measures of a table: names, units, which way is better, and where they are taken. No torch here."""

from dataclasses import dataclass
from typing import Literal

Mode = Literal["reconstruction", "cross_driven"]
MODES: tuple[Mode, ...] = ("reconstruction", "cross_driven")
MODE_WORDS: dict[str, str] = {
    "reconstruction": "Reconstruction (own sound)",
    "cross_driven": "Cross-driven (another's sound)",
}


@dataclass(frozen=True)
class Measure:
    """One column.

    Attributes:
        key: in scores and JSON.
        title: of the column.
        better: which way; "none" for a fact that is neither good nor bad by itself.
        modes: where it means something.
        digits: after the point.
        file: in metrics/, whose docstring defines it.
    """

    key: str
    title: str
    better: Literal["higher", "lower", "none"]
    modes: tuple[Mode, ...]
    digits: int
    file: str

    @property
    def arrow(self) -> str:
        """Which way is better, as a sign."""
        return {"higher": " ↑", "lower": " ↓", "none": ""}[self.better]


_REAL: tuple[Mode, ...] = ("reconstruction",)
_CROSS: tuple[Mode, ...] = ("cross_driven",)

#: One value a pair; a table has their means.
PAIR_MEASURES = (
    Measure("success", "Success rate", "higher", MODES, 3, "success"),
    Measure("sync_confidence", "Sync_conf (SyncNet v2)", "higher", MODES, 2, "sync_confidence"),
    Measure("sync_distance", "Sync_dist (SyncNet v2)", "lower", MODES, 2, "sync_confidence"),
    Measure("sync_offset", "|Offset| (SyncNet v2), frames", "lower", MODES, 2, "sync_confidence"),
    Measure("stable_confidence", "Confidence (StableSyncNet)", "higher", MODES, 3, "sync_confidence"),
    Measure("stable_distance", "Distance (StableSyncNet)", "lower", MODES, 3, "sync_confidence"),
    Measure("stable_offset", "|Offset| (StableSyncNet), frames", "lower", MODES, 2, "sync_confidence"),
    Measure("stable_accuracy", "Accuracy (StableSyncNet)", "higher", MODES, 3, "syncnet_accuracy"),
    Measure("stable_preference", "Prefers its own sound (StableSyncNet)", "higher", MODES, 3, "sync_preference"),
    Measure("driver_correlation", "Correlation with the driver's mouth", "higher", MODES, 3, "mouth_correlation"),
    Measure(
        "instant_driver_correlation",
        "Correlation with the driver, same instant",
        "higher",
        MODES,
        3,
        "mouth_correlation",
    ),
    Measure("leakage", "Leakage (correlation with the old mouth)", "lower", _CROSS, 3, "mouth_correlation"),
    Measure("instant_leakage", "Leakage at the same instant", "lower", _CROSS, 3, "mouth_correlation"),
    Measure("spread", "Spread of the opening (1 is right)", "none", MODES, 2, "mouth_correlation"),
    Measure("silence_movement", "Movement in silence", "lower", MODES, 3, "silence"),
    Measure("silence_closed", "Mouth closed in silence", "higher", MODES, 3, "silence"),
    Measure("lmd", "LMD, px of 256", "lower", _REAL, 2, "landmark_distance"),
    Measure("ssim", "SSIM", "higher", _REAL, 3, "ssim"),
    Measure("psnr", "PSNR, dB", "higher", _REAL, 2, "psnr"),
    Measure("lower_ssim", "SSIM, lower face", "higher", _REAL, 3, "ssim"),
    Measure("lower_psnr", "PSNR, lower face, dB", "higher", _REAL, 2, "psnr"),
    Measure("lpips", "LPIPS (VGG)", "lower", _REAL, 3, "perceptual"),
    Measure("csim", "CSIM (ArcFace)", "higher", MODES, 3, "identity"),
    Measure("own_face", "Likeness to the person (home-trained, no CSIM)", "higher", MODES, 3, "own_face"),
    Measure("sharpness", "Mouth sharpness (1 = source)", "higher", MODES, 3, "sharpness"),
    Measure("flicker", "Flicker above the source, grey levels (0 is right)", "none", MODES, 3, "flicker"),
    Measure("seam", "Seam, grey levels per px", "lower", MODES, 3, "seam"),
)
#: One value for all results of a system together.
SET_MEASURES = (
    Measure("fid", "FID", "lower", MODES, 2, "fid"),
    Measure("fvd", "FVD", "lower", MODES, 1, "fvd"),
    Measure("vae_distance", "mini-VAE Fréchet distance (no FID)", "lower", MODES, 3, "fid"),
)
ALL_MEASURES = (*PAIR_MEASURES, *SET_MEASURES)
BY_KEY = {measure.key: measure for measure in ALL_MEASURES}


def measures_of(mode: str) -> list[Measure]:
    """The columns of one mode's table."""
    return [measure for measure in ALL_MEASURES if mode in measure.modes]
