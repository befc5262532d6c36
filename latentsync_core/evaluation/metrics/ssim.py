"""SSIM (Wang et al. 2004): Gaussian window, sigma 1.5, K = (0.01, 0.03), mean of channels; of a clip, of its frames.

Protocol: as for PSNR; the paper's column is the whole aligned crop in reconstruction. Source: torchmetrics.
"""

import numpy as np
from numpy.typing import NDArray
from torchmetrics.functional.image import structural_similarity_index_measure

from latentsync_core.evaluation.metrics.psnr import to_unit

Crops = NDArray[np.uint8]


def frame_ssim(generated: Crops, real: Crops) -> NDArray[np.float64]:
    """Give the SSIM of every frame, (F, H, W, 3) uint8 each -> (F,); 1 for identical crops."""
    scores = [
        float(structural_similarity_index_measure(a[None], b[None], data_range=1.0))  # type: ignore[arg-type]
        for a, b in zip(to_unit(generated), to_unit(real), strict=True)  # one at a time: convolutions are large
    ]
    return np.array(scores, np.float64)
