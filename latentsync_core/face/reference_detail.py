"""Fine detail that the autoencoder loses, taken from the reference and carried along with the moving jaw and lips.

Small autoencoders blur pores, stubble and wrinkles. What one loses is known for the reference face: the difference to
its own reconstruction. Optical flow from the new face to that reconstruction, both of the same softness, says where
each part of it has gone; where the two then look alike the same detail belongs. Inside an opened mouth they do not.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from latentsync_core.face.landmarks import UInt8Image

AGREEMENT: Final = 25.0  # grey levels of difference at which the detail's share has fallen to 1/e
SMOOTHING: Final = 3.0 / 256  # of the side: sigma of the blur of the difference
FLOW_SOURCE_SMOOTHING: Final = 1.5 / 256  # of the side: flow follows shapes, not noise
FLOW_SMOOTHING: Final = 6.0 / 256  # of the side: skin moves as a whole, and detail must not be torn

#: (h, w, 3) or (h, w, 2).
Float32Image = NDArray[np.float32]


def restore_detail(face: UInt8Image, reference: UInt8Image, reconstruction: UInt8Image) -> UInt8Image:
    """Add to a decoded face what the autoencoder lost of its reference, moved to where that part of the face is now.

    Args:
        face: (R, R, 3) uint8, decoded.
        reference: (R, R, 3) uint8, the reference as it was given.
        reconstruction: (R, R, 3) uint8, the reference encoded and decoded.

    Returns:
        (R, R, 3) uint8.
    """
    made, given, coded = (each.astype(np.float32) for each in (face, reference, reconstruction))
    source = where_from(face, reconstruction, FLOW_SOURCE_SMOOTHING * len(face), FLOW_SMOOTHING * len(face))
    lost, coded = (fetch(picture, source) for picture in (given - coded, coded))
    difference = np.abs(made - coded).mean(axis=2)
    smooth = cv2.GaussianBlur(difference, (0, 0), SMOOTHING * len(face))
    share = np.exp(-((smooth / AGREEMENT) ** 2))[..., None]
    return np.asarray(np.clip(np.rint(made + share * lost), 0, 255), dtype=np.uint8)


def where_from(face: UInt8Image, other: UInt8Image, softness: float, flow_softness: float) -> Float32Image:
    """For each pixel of a face (h, w, 3) the place (h, w, 2), x and y, of its part in another one, by optical flow.

    Args:
        softness: of the pictures that are compared, flow_softness: of the flow; sigmas in pixels.
    """
    grey = [cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (0, 0), softness) for picture in (face, other)]
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST).calc(*grey, None)  # type: ignore[call-overload]
    smooth = cv2.GaussianBlur(flow, (0, 0), flow_softness)
    rows, columns = np.mgrid[: face.shape[0], : face.shape[1]]
    return np.asarray(smooth + np.stack([columns, rows], axis=-1), dtype=np.float32)


def fetch(picture: Float32Image, source: Float32Image) -> Float32Image:
    """Draw (h, w, 3) from a picture (h, w, 3), each pixel from its place in `source` (h, w, 2)."""
    columns, rows = source[..., 0], source[..., 1]
    return np.asarray(cv2.remap(picture, columns, rows, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE))
