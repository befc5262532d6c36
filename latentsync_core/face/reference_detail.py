"""Fine detail that the autoencoder loses, taken from the reference where the generated face agrees with it.

Small autoencoders blur pores, stubble and wrinkles. What one loses is known for the reference face: the difference to
its own reconstruction. Where the new face looks like that reconstruction (cheeks, chin of an unmoved jaw) the same
detail belongs there too; where the mouth has moved it does not.
"""

from typing import Final

import cv2
import numpy as np

from latentsync_core.face.landmarks import UInt8Image

AGREEMENT: Final = 25.0  # grey levels of difference at which the detail's share has fallen to 1/e
SMOOTHING: Final = 3.0 / 256  # of the side: sigma of the blur of the difference


def restore_detail(face: UInt8Image, reference: UInt8Image, reconstruction: UInt8Image) -> UInt8Image:
    """Add to a decoded face what the autoencoder lost of its reference, where the two agree.

    Args:
        face: (R, R, 3) uint8, decoded.
        reference: (R, R, 3) uint8, the reference as it was given.
        reconstruction: (R, R, 3) uint8, the reference encoded and decoded.

    Returns:
        (R, R, 3) uint8.
    """
    made, given, coded = (each.astype(np.float32) for each in (face, reference, reconstruction))
    difference = np.abs(made - coded).mean(axis=2)
    smooth = cv2.GaussianBlur(difference, (0, 0), SMOOTHING * len(face))
    share = np.exp(-((smooth / AGREEMENT) ** 2))[..., None]
    return np.asarray(np.clip(np.rint(made + share * (given - coded)), 0, 255), dtype=np.uint8)
