"""Contact sheets: source row, generated row, to be looked at."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Crops = NDArray[np.uint8]


def write_contact_sheet(path: Path, pairs: list[tuple[str, Crops, Crops]], columns: int = 10, side: int = 160) -> None:
    """Draw, for every pair, a row of source crops above a row of generated ones.

    Args:
        path: of the picture.
        pairs: a title, and crops (F, R, R, 3) uint8 RGB of the source and of the result.
        columns: so many frames are taken, evenly.
        side: of a tile, pixels.
    """
    rows = []
    for title, source, generated in pairs:
        chosen = np.linspace(0, min(len(source), len(generated)) - 1, columns).astype(int)
        strip = np.full((18, columns * side, 3), 255, np.uint8)
        cv2.putText(strip, title, (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
        rows.append(strip)
        for crops in (source, generated):
            tiles = [cv2.resize(crops[index], (side, side), interpolation=cv2.INTER_AREA) for index in chosen]
            rows.append(np.hstack(tiles))
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))
