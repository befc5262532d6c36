"""Looks: a clip mirrored, moved, stretched and recoloured, all of its frames alike.

With a hundred people to learn from, a network remembers the colours of lips and skins instead of taking them from the
reference. In every look but the first the picture's colours change, and in every other look the lips are painted.
"""

import hashlib
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

LOOKS_VERSION = 2  # caches are named after it
PAINTED_SHARE = 0.5  # of the looks that have painted lips
OUTER_LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
INNER_LIPS = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
PAINT_EDGE = 1 / 128  # of the side: how soft the paint's edge is


def look_generator(name: str, variant: int, purpose: str = "") -> np.random.Generator:
    """Random numbers of one look of one clip, for one purpose."""
    text = f"{name}/{variant}/{purpose}" if purpose else f"{name}/{variant}"
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big"))


def paint_lips(frames: NDArray[np.uint8], mesh: NDArray[np.floating], variant: int, name: str) -> NDArray[np.uint8]:
    """Give the lips of some looks another colour, from pale to dark red; variant 0 changes nothing.

    Args:
        frames: (F, R, R, 3) RGB.
        mesh: (F, 468, 2) in pixels; frames where it is not finite stay as they are.
        variant: the look.
        name: of the clip.
    """
    generator = look_generator(name, variant, "lips")
    if variant == 0 or generator.random() > PAINTED_SHARE:
        return frames
    lightness = generator.uniform(0.6, 1.1)
    redness, yellowness = generator.uniform(5, 50), generator.uniform(-12, 18)  # CIELAB, towards which the lips go
    strength = generator.uniform(0.4, 1.0)
    painted = frames.copy()
    for picture, points in zip(painted, mesh, strict=True):
        if not np.isfinite(points).all():
            continue
        lab = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
        share = strength * _lip_mask(points, len(picture))[..., None]
        target = lab * np.array([lightness, 0, 0], np.float32) + np.array([0, redness, yellowness], np.float32)
        changed = cv2.cvtColor((lab + share * (target - lab)).astype(np.float32), cv2.COLOR_LAB2RGB)
        picture[:] = np.clip(np.rint(changed * 255), 0, 255)
    return painted


def _lip_mask(points: NDArray[np.floating], side: int) -> NDArray[np.float32]:
    mask = np.zeros((side, side), np.float32)
    cv2.fillPoly(mask, [np.rint(points[list(OUTER_LIPS)]).astype(np.int32)], (1.0,))
    cv2.fillPoly(mask, [np.rint(points[list(INNER_LIPS)]).astype(np.int32)], (0.0,))
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), side * PAINT_EDGE), np.float32)


def change_look(frames: NDArray[np.uint8], variant: int, name: str) -> NDArray[np.uint8]:
    """Mirror (odd variants), move, turn, stretch and recolour frames (F, R, R, 3) alike; variant 0 changes nothing."""
    if variant == 0:
        return frames
    generator = look_generator(name, variant)
    matrix = _movement(generator, frames.shape[1])
    saturation = generator.uniform(0.5, 1.4)
    gain = generator.uniform(0.75, 1.2) * generator.uniform(0.92, 1.08, 3)
    gamma, offset = generator.uniform(0.8, 1.25), generator.uniform(-10, 10)
    tone = np.clip(255 * np.linspace(0, 1, 256) ** gamma + offset, 0, 255).astype(np.float32)
    changed = np.empty_like(frames)
    for index, frame in enumerate(frames):
        frame = frame[:, ::-1] if variant % 2 else frame
        moved: NDArray[Any] = cv2.warpAffine(
            np.ascontiguousarray(frame), matrix, frame.shape[:2], borderMode=cv2.BORDER_REPLICATE
        )
        toned = tone[moved]
        grey = toned.mean(axis=-1, keepdims=True)
        changed[index] = np.clip((grey + saturation * (toned - grey)) * gain, 0, 255)
    return changed


def _movement(generator: np.random.Generator, side: int) -> NDArray[np.float64]:
    matrix = np.asarray(
        cv2.getRotationMatrix2D((side / 2, side / 2), generator.uniform(-5, 5), generator.uniform(0.94, 1.06))
    )
    stretch = np.diag([generator.uniform(0.95, 1.05), 1.0])
    matrix = stretch @ matrix
    matrix[0, 2] += (1 - stretch[0, 0]) * side / 2
    matrix[:, 2] += generator.uniform(-5, 5, 2) * side / 256
    return matrix
