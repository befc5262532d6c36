"""Sharpness of a face: to tell frames with motion blur from those without, within one shot."""

import cv2
import numpy as np

from latentsync_core.face.landmarks import UInt8Image


def measure_sharpness(crop: UInt8Image) -> float:
    """Give the standard deviation of the Laplacian in the middle of a face crop (S, S, 3) uint8 RGB, grey levels."""
    edge = crop.shape[0] // 5
    grey = cv2.cvtColor(np.ascontiguousarray(crop[edge:-edge, edge:-edge]), cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_32F).std())
