"""The figures of the paper's main table (arXiv:2412.09262), for comparison on the same data sets only."""

#: The paper's columns: their titles, and the keys and modes of our measures for them. Which mode is as the paper says
#: (SSIM in reconstruction, the rest cross-driven), but for LMD: across there is no real mouth of the same person.
PAPER_COLUMNS = (
    ("FID ↓", "fid", "cross_driven"),
    ("SSIM ↑", "ssim", "reconstruction"),
    ("Sync_conf ↑", "sync_confidence", "cross_driven"),
    ("LMD ↓ (reconstruction, px of 256)", "lmd", "reconstruction"),
    ("FVD ↓", "fvd", "cross_driven"),
)
#: By data set and method: FID, SSIM, Sync_conf, LMD (in the paper's unit), FVD.
PUBLISHED: dict[str, dict[str, tuple[float, float, float, float, float]]] = {
    "HDTF": {
        "Wav2Lip": (12.5, 0.70, 8.2, 0.34, 304.35),
        "VideoReTalking": (9.5, 0.75, 7.5, 0.49, 270.56),
        "Diff2Lip": (10.3, 0.72, 7.9, 0.36, 260.45),
        "MuseTalk": (9.35, 0.74, 6.8, 0.56, 246.75),
        "LatentSync": (7.22, 0.79, 8.9, 0.30, 162.74),
    },
    "VoxCeleb2": {
        "Wav2Lip": (10.8, 0.71, 7.0, 0.53, 257.85),
        "VideoReTalking": (7.5, 0.77, 6.4, 0.60, 215.67),
        "Diff2Lip": (9.8, 0.73, 6.9, 0.54, 210.45),
        "MuseTalk": (7.1, 0.80, 5.9, 0.64, 203.43),
        "LatentSync": (5.7, 0.81, 7.3, 0.51, 123.27),
    },
}
