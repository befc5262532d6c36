"""An oracle: what the public code does to crop and paste, written from parity/README.md in plain numpy, float64.

`latentsync_core.face` does it otherwise (one resampling, only the hole, rounding); tests compare the two.
"""

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

PARITY = Path(__file__).resolve().parents[2] / "parity"
Array = NDArray[np.float64]
OUTSIDE = 127.0


def test_image(width: int, height: int) -> NDArray[np.uint8]:
    """Draw the picture of the recording, (H, W, 3) uint8."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // (width - 1), y * 255 // (height - 1), (3 * x + 5 * y) % 256], axis=-1).astype(np.uint8)


def sample_bilinear(image: Array, positions: Array, fill: float) -> Array:
    """Sample (H, W, C) at positions (..., 2) = (x, y), whole numbers at pixel centres; `fill` outside."""
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), constant_values=fill)
    x = np.clip(positions[..., 0] + 1, 0, padded.shape[1] - 1)
    y = np.clip(positions[..., 1] + 1, 0, padded.shape[0] - 1)
    x0 = np.minimum(x.astype(int), padded.shape[1] - 2)
    y0 = np.minimum(y.astype(int), padded.shape[0] - 2)
    fx, fy = (x - x0)[..., None], (y - y0)[..., None]
    top = padded[y0, x0] * (1 - fx) + padded[y0, x0 + 1] * fx
    bottom = padded[y0 + 1, x0] * (1 - fx) + padded[y0 + 1, x0 + 1] * fx
    return top * (1 - fy) + bottom * fy


def warp(image: Array, matrix: Array, width: int, height: int, fill: float) -> Array:
    """Draw (H, W, C) through a map (2, 3) from image to result pixels."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))
    return sample_bilinear(image, np.stack([x, y, np.ones_like(x)], axis=-1) @ inverse[:2].T, fill)


def crop_canvas(frame: NDArray[np.uint8], matrix: Array, width: int = 210, height: int = 280) -> NDArray[np.uint8]:
    """Cut the canvas, (280, 210, 3), cut (not rounded) to whole levels."""
    return warp(frame.astype(np.float64), matrix, width, height, OUTSIDE).astype(np.uint8)


def crop_square(frame: NDArray[np.uint8], matrix: Array, resolution: int = 256) -> NDArray[np.uint8]:
    """Cut the canvas and resize it by Lanczos to a square."""
    return cv2.resize(crop_canvas(frame, matrix), (resolution, resolution), interpolation=cv2.INTER_LANCZOS4)


def paste_canvas(frame: NDArray[np.uint8], face: Array, matrix: Array) -> dict[str, Array]:
    """Paste a canvas (280, 210, 3) in -1..1 into a frame; all stages by the names of the recording."""
    height, width = frame.shape[:2]
    inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]
    drawn = warp(face, inverse, width, height, OUTSIDE)
    levels = np.clip(drawn / 2 + 0.5, 0, 1) * 255
    mask = warp(np.ones((*face.shape[:2], 1)), inverse, width, height, 0.0)[..., 0]
    eroded = _erode(mask, 2)
    edge = int(eroded.sum() ** 0.5) // 20
    centre = _erode(eroded, 2 * edge)
    sigma = 0.3 * (edge - 1) + 0.8
    soft = cv2.GaussianBlur(centre, (2 * edge + 1, 2 * edge + 1), sigma, borderType=cv2.BORDER_REFLECT_101)
    restored = (soft * eroded)[..., None] * levels + (1 - soft[..., None]) * frame
    return {
        "inv_face": drawn,
        "inv_mask": mask,
        "eroded_mask": eroded,
        "center_mask": centre,
        "soft_mask": soft,
        "restored": restored,
    }


def _erode(mask: Array, side: int) -> Array:
    kernel = np.ones((side, side), dtype=np.uint8)
    return cv2.erode(mask, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=1e9)


class SmoothedFit:
    """The public code's "smoothing": a bias in units of standard deviations, added to a translation in pixels."""

    def __init__(self, template: Array) -> None:
        self._template = template
        self.bias: Array | None = None

    def fit(self, points: Array, plain: Array) -> Array:
        """Add the bias, which remembers all earlier calls, to a plain fit (2, 3)."""
        now = _normalised(self._template)[2] - _normalised(points)[2]
        self.bias = now if self.bias is None else 0.2 * self.bias + 0.8 * now
        smoothed = plain.copy()
        smoothed[:, 2] += self.bias
        return smoothed


def _normalised(points: Array) -> Array:
    centred = points - points.mean(axis=0)
    return centred / centred.std(ddof=1)


def recorded_face() -> Array:
    """Draw the recording's test face, (280, 210, 3) in -1..1: square first, then resized (bicubic, antialiased)."""
    v, u = np.mgrid[:256, :256] / 255.0
    square = np.stack([np.sin(6 * u + 2 * v), np.cos(5 * v - 3 * u), 2 * u * v - 1])
    canvas = torch.nn.functional.interpolate(torch.tensor(square)[None], (280, 210), mode="bicubic", antialias=True)
    return canvas[0].numpy().transpose(1, 2, 0)
