"""Make docs/result.jpg from outputs/demo.mp4: moments of the sample above, the same moments of the result below."""

import sys
from pathlib import Path

import av
import numpy as np
from PIL import Image

from scripts.stack import REPOSITORY

SAMPLE = REPOSITORY / "samples" / "sample.mp4"
RESULT = REPOSITORY / "outputs" / "demo.mp4"
PICTURE = REPOSITORY / "docs" / "result.jpg"
MOMENTS = 5
FACE = (118, 90, 398, 370)  # left, top, right, bottom in pixels of the sample
SIDE = 224  # pixels of one face in the picture


def main() -> int:
    """Write the picture; gives the exit code."""
    if not RESULT.is_file():
        sys.stderr.write(f"{RESULT} is not there: run `make demo` first\n")
        return 1
    result = faces_of(RESULT, FACE, SIDE)
    source = faces_of(SAMPLE, FACE, SIDE)[: len(result)]
    chosen = np.linspace(0.1, 0.9, MOMENTS) * (len(source) - 1)
    rows = [np.hstack([faces[round(index)] for index in chosen]) for faces in (source, result)]
    Image.fromarray(np.vstack(rows)).save(PICTURE, quality=88)
    return 0


def faces_of(path: Path, box: tuple[int, int, int, int], side: int) -> list[np.ndarray]:
    """What a box (left, top, right, bottom) shows in every frame, (side, side, 3) uint8 RGB."""
    with av.open(str(path)) as container:
        return [
            np.asarray(frame.to_image().crop(box).resize((side, side), Image.Resampling.LANCZOS))
            for frame in container.decode(video=0)
        ]


if __name__ == "__main__":
    sys.exit(main())
