"""Prepared clips that can be learnt: the lower half of every face is as bright as its sound is loud."""

import json
from pathlib import Path

import numpy as np

SAMPLES_PER_FRAME = 640


def save_talking_clips(root: Path, people: dict[str, str], frames: int = 60, side: int = 32) -> Path:
    """Write one clip of each person, who belongs to the split named; every clip has other speech."""
    generator = np.random.default_rng(len(people))
    for person, split in people.items():
        loudness = np.repeat(generator.uniform(0, 1, frames // 3 + 1), 3)[:frames]
        crops = np.full((frames, side, side, 3), 90 + generator.integers(0, 30), np.float64)
        crops[:, side // 2 :] += 120 * loudness[:, None, None, None]
        noise = generator.standard_normal(frames * SAMPLES_PER_FRAME)
        pcm = noise * np.repeat(10 ** (-3 + 2.5 * loudness), SAMPLES_PER_FRAME) * 5000
        folder = root / f"{person}-0"
        folder.mkdir(parents=True)
        np.save(folder / "crops.npy", crops.round().astype(np.uint8))
        mesh = np.random.default_rng(0).uniform(0, side, (frames, 468, 2))
        np.save(folder / "mesh.npy", mesh.astype(np.float32))
        np.save(folder / "pcm.npy", pcm.clip(-32768, 32767).astype(np.int16))
        meta = {"identity": person, "split": split, "kind": "real", "frames": frames}
        (folder / "meta.json").write_text(json.dumps(meta))
    return root
