"""Lips and teeth as sharp as the source's: what is fine in a generated mouth comes from a real one of the same person.

A small network draws where lips and teeth are, but softly. Somewhere in the shot the person's mouth stands much the
same: that mouth is fetched, turned into the frame's pose and carried by optical flow to where the drawn one is, and its
fine half replaces the drawing's where the coarse halves agree. How far the mouth opens stays the drawing's.
The idea to let a person's own frames say something else is that of Video Rewrite (Bregler et al. 1997).
"""

from collections.abc import Sequence
from functools import cache
from typing import Final

import cv2
import numpy as np

from latentsync_core.face.landmarks import FloatArray, UInt8Image
from latentsync_core.face.reference_detail import Float32Image, fetch, where_from

CENTRE: Final = (0.5, 0.695)  # of the mouth in an aligned face, x and y as shares of its side
RADII: Final = (0.227, 0.14)  # of the ellipse that is sharpened
EDGE: Final = 8.0 / 256  # of the side: sigma of the ellipse's soft edge
REACH: Final = 0.09  # of the side, around the ellipse: what is looked at
COARSE: Final = 4.0 / 256  # of the side: sigma of the blur that divides a mouth's coarse half from its fine one
AGREEMENT: Final = 16.0  # grey levels of difference of the coarse halves at which the share has fallen to 1/e
FLOW_SOFTNESS: Final = 2.0 / 256, 4.0 / 256  # of the side: sigmas of the blur of pictures and of the flow
SKETCH: Final = (24, 16)  # cells that mouths are compared by
CHANGE_COST: Final = 2.0  # grey levels that another mouth than the frame before must be nearer by


def sketch_mouth(face: UInt8Image) -> FloatArray:
    """Give what mouths are compared by, (16, 24, 3), of an aligned face (R, R, 3) uint8: a coarse picture in Lab."""
    side = len(face)
    mouth = np.ascontiguousarray(face[_around_mouth(side, 0.0)])
    lab = cv2.cvtColor(mouth, cv2.COLOR_RGB2LAB).astype(np.float32)
    soft = cv2.GaussianBlur(lab, (0, 0), COARSE * side)
    return np.asarray(cv2.resize(soft, SKETCH, interpolation=cv2.INTER_AREA), np.float64)


def match_mouths(drawn: Sequence[FloatArray], real: Sequence[FloatArray], turning: FloatArray) -> list[int]:
    """Choose the real mouth for each frame of a block: alike, turned alike, and not another one in every frame.

    Args:
        drawn: F sketches of generated mouths, in order.
        real: N sketches of the shot's mouths.
        turning: (F, N) cost of turning each of them into each frame's pose, grey levels.

    Returns:
        F numbers in 0..N-1: the order of least cost, with CHANGE_COST for every change.
    """
    unlike = np.abs(np.stack(drawn)[:, None] - np.stack(real)[None]).mean((2, 3, 4)) + turning  # (F, N)
    total, before = unlike[0], []
    for costs in unlike[1:]:
        best = int(total.argmin())
        stays = total <= total[best] + CHANGE_COST
        before.append(np.where(stays, np.arange(len(total)), best))
        total = costs + np.where(stays, total, total[best] + CHANGE_COST)
    chosen = [int(total.argmin())]
    for origins in reversed(before):
        chosen.append(int(origins[chosen[-1]]))
    return chosen[::-1]


def sharpen_mouth(face: UInt8Image, drawn: UInt8Image, real: UInt8Image) -> UInt8Image:
    """Give a generated face the fine half of a real mouth.

    Args:
        face: (R, R, 3) uint8, the generated face that is to be shown.
        drawn: (R, R, 3) uint8, the same as the network drew it: it says where the lips are.
        real: (R, R, 3) uint8, a frame of the same person, turned alike.

    Returns:
        (R, R, 3) uint8; outside the mouth it is `face`.
    """
    side = len(face)
    place = _around_mouth(side, REACH)
    shown, made, given = (np.ascontiguousarray(picture[place]) for picture in (face, drawn, real))
    softness, flow_softness = (sigma * side for sigma in FLOW_SOFTNESS)
    mouth = fetch(given.astype(np.float32), where_from(made, given, softness, flow_softness))
    coarse, wanted, base = (_soften(picture, side) for picture in (mouth, made, shown))
    difference = cv2.GaussianBlur(np.abs(coarse - wanted).mean(axis=2), (0, 0), COARSE * side)
    share = (np.exp(-((difference / AGREEMENT) ** 2)) * _mouth_area(side)[place])[..., None]
    fine = shown - base
    sharpened = face.copy()
    sharpened[place] = np.clip(np.rint(shown + share * (mouth - coarse - fine)), 0, 255).astype(np.uint8)
    return sharpened


def _around_mouth(side: int, reach: float) -> tuple[slice, slice]:
    """Rows and columns of the ellipse and so much around it, a share of the side."""
    (x, y), (wide, high) = CENTRE, RADII
    edges = (y - high - reach, y + high + reach, x - wide - reach, x + wide + reach)
    top, bottom, left, right = (round(edge * side) for edge in edges)
    return slice(top, bottom), slice(left, right)


def _soften(picture: UInt8Image | Float32Image, side: int) -> Float32Image:
    return np.asarray(cv2.GaussianBlur(picture.astype(np.float32), (0, 0), COARSE * side), np.float32)


@cache
def _mouth_area(side: int) -> Float32Image:
    """How much of each pixel (R, R) is the mouth's, 0..1."""
    (x, y), (wide, high) = CENTRE, RADII
    places = np.arange(side, dtype=np.float32) / side
    inside = ((places[None] - x) / wide) ** 2 + ((places[:, None] - y) / high) ** 2 <= 1
    return np.asarray(cv2.GaussianBlur(inside.astype(np.float32), (0, 0), EDGE * side), np.float32)
