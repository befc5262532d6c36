"""Make docs/samples/: short results of models/mini on pictures free of anyone's rights, and a sheet of their frames.

Grace Hopper is the bundled sample; Eileen Collins is scikit-image's `astronaut` (NASA, public domain), a still picture
with a broad smile, which is among the hardest there is. Speech by flite. Nobody of the training or test footage can be
shown here (see NOTICE); `evaluate` leaves their sheets in its folder.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

from latentsync_core import LipSyncOptions, LipSyncPipeline
from scripts.make_result_picture import faces_of
from scripts.make_sample import SAMPLES, speak
from scripts.stack import REPOSITORY

OUT = REPOSITORY / "docs" / "samples"
SAYINGS = {
    "hopper": "Hello! I am only a photograph, but today you can see me speak. Please, watch my lips.",
    "hopper_pause": "My lips are closed. Now. Before, and after, every pause, they should meet.",
    "collins": "Maybe you remember me with a smile. Five people may be above the moon by now.",
}
MOMENTS = 8
SIDE = 192  # pixels of a face on the sheet
FACES = {"hopper": (118, 90, 398, 370), "collins": (120, 5, 320, 205)}  # left, top, right, bottom in source pixels


def main() -> int:
    """Write the videos and the sheet; gives the exit code."""
    OUT.mkdir(parents=True, exist_ok=True)
    pipeline = LipSyncPipeline.from_bundle("mini")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        collins = Path(folder) / "collins.png"
        Image.fromarray(data.astronaut()).save(collins)
        for name, saying in SAYINGS.items():
            who = name.split("_")[0]
            source = collins if who == "collins" else SAMPLES / "sample.mp4"
            speech = Path(folder) / f"{name}.wav"
            speak(saying, speech)
            result = OUT / f"{name}.mp4"
            pipeline.run(source, speech, result, LipSyncOptions())
            faces = faces_of(result, FACES[who], SIDE)
            rows.append(np.hstack([faces[round(at)] for at in np.linspace(0.1, 0.9, MOMENTS) * (len(faces) - 1)]))
    Image.fromarray(np.vstack(rows)).save(OUT / "frames.jpg", quality=88)
    return 0


if __name__ == "__main__":
    sys.exit(main())
