"""Prepared clips of random pictures and noise, in the format of `latentsync_core.data_preparation`."""

import json
from pathlib import Path

import numpy as np


def save_small_clips(root: Path, people: dict[str, int], frames: int = 12, side: int = 256) -> Path:
    """Write so many clips of each person; pictures are smooth, meshes move, speech is noise."""
    generator = np.random.default_rng(0)
    for person, count in people.items():
        for number in range(count):
            folder = root / f"{person}-{number}"
            folder.mkdir(parents=True)
            ramp = np.linspace(0, 200, side)[None, :, None] + generator.uniform(0, 50, (frames, 1, 1, 3))
            np.save(folder / "crops.npy", np.broadcast_to(ramp, (frames, side, side, 3)).astype(np.uint8))
            np.save(folder / "mesh.npy", generator.uniform(0, side, (frames, 468, 2)).astype(np.float32))
            np.save(folder / "pcm.npy", generator.integers(-9000, 9000, frames * 640).astype(np.int16))
            meta = {"identity": person, "split": "train", "kind": "real", "frames": frames}
            (folder / "meta.json").write_text(json.dumps(meta))
    return root
