"""How fast training gets its data, and `prepare` makes it.

    python -m benchmarks.data_loading [--faces .work/faces] [--unet-run runs/mini_unet_stage2]
    python -m benchmarks.data_loading --raw ../shared/data/talking_faces/clips --videos 12

Prints a table: windows a second for the U-Net and SyncNet, from the cache and made on the way, and the share of a run's
time that waits for them. Without --faces on made-up clips. With --raw the seconds of `prepare` with 1 and 2 processes.
The autoencoder is that of models/mini with random weights: they take the same time.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from latentsync_core.data_preparation.options import PrepareOptions
from latentsync_core.data_preparation.prepare import prepare_videos
from latentsync_core.face.mask import load_mask
from latentsync_core.models.autoencoder import SpaceToDepthAutoencoder
from latentsync_core.training.audio_cache import CachedAudio
from latentsync_core.training.face_clips import read_face_clips
from latentsync_core.training.latent_cache import cache_latents
from latentsync_core.training.recipe import read_recipe
from latentsync_core.training.runs import read_run
from latentsync_core.training.syncnet_recipe import SyncNetRecipe
from latentsync_core.training.train_syncnet import SyncNetLosses, open_windows, train_syncnet
from latentsync_core.training.unet_recipe import UNetRecipe
from latentsync_core.training.unet_windows import WindowSampler

REPOSITORY = Path(__file__).parents[1]
RECIPES = REPOSITORY / "latentsync_core" / "training" / "recipes"
MINI = REPOSITORY / "models" / "mini"
PEOPLE, FRAMES, SIDE = 6, 80, 256  # of the made-up clips
UNET_BATCHES, SYNCNET_STEPS = 20, 8


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", type=Path, help="prepared clips")
    parser.add_argument("--unet-run", type=Path, help="a U-Net run whose seconds a step are compared with its data's")
    parser.add_argument("--raw", type=Path, help="a folder of videos: measure `prepare` instead")
    parser.add_argument("--videos", type=int, default=12, help="of --raw, the first ones by name")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if chosen.raw:
            lines = measure_prepare(chosen.raw, chosen.videos, Path(folder))
        else:
            faces = chosen.faces or make_up_clips(Path(folder) / "faces")
            lines = measure_unet(faces, Path(folder), chosen.unet_run) + measure_syncnet(faces, Path(folder))
    sys.stdout.write("| what | figure |\n|---|---:|\n" + "\n".join(lines) + "\n")


def measure_unet(faces: Path, folder: Path, run: Path | None) -> list[str]:
    """Windows of the second stage's recipe: from the cache, and with all their frames encoded."""
    overrides = {"data_dir": faces, "cache_dir": folder / "latents", "true_shape_share": 0}
    recipe = read_recipe(RECIPES / "mini_unet_stage2.yaml", UNetRecipe, _settings(overrides))
    vae = SpaceToDepthAutoencoder.from_config(SpaceToDepthAutoencoder.load_config(MINI / "vae")).eval()
    vae = vae.to(memory_format=torch.channels_last)
    vae.save_pretrained(folder / "vae")
    mask = torch.from_numpy(load_mask(MINI / "mask.png", SIDE))
    clips = read_face_clips(faces, "train")
    options = (0, recipe.frame_stride, recipe.frames_per_clip, recipe.window_frames > 1)
    began = time.perf_counter()
    latents = cache_latents(clips, folder / "latents", vae, mask, *options)
    encoding = time.perf_counter() - began
    silence = folder / "silence.npy"
    np.save(silence, np.zeros((2 * max(clip.num_frames for clip in clips), 1, 200), np.float16))
    sampler = WindowSampler(latents, {clip.folder.name: [CachedAudio(silence)] for clip in clips}, {}, recipe)
    frames = sum(len(clip.frames) for clip in sampler.clips)
    batch = _seconds(lambda: [sampler.batch(number) for number in range(UNET_BATCHES)]) / UNET_BATCHES
    encoded = encoding / frames * recipe.window_frames
    what = f"U-Net, windows of {recipe.window_frames} frames a second"
    lines = [
        f"| {what}, latents cached | {recipe.batch_size / batch:.0f} |",
        f"| the same, encoded on the way | {1 / encoded:.2f} |",
    ]
    step = read_run(run, run.name).seconds_per_step if run else None
    return [*lines, f"| U-Net, share of a step that its data takes | {batch / step:.1%} |"] if step else lines


def measure_syncnet(faces: Path, folder: Path) -> list[str]:
    """Windows of the mini recipe in pixels and latents, and the share of a short run that waits for them."""
    common = {"data_dir": faces, "cache_dir": folder / "windows", "run_dir": folder / "run", "device": "cpu"}
    common |= {"steps": SYNCNET_STEPS, "log_every": 1, "warmup_steps": 1, "validate_every": 10**9}
    lines = []
    for name in ("mini_syncnet", "mini_syncnet_latent"):
        overrides = common if name == "mini_syncnet" else {**common, "vae_dir": folder / "vae"}
        recipe = read_recipe(RECIPES / f"{name}.yaml", SyncNetRecipe, _settings(overrides))
        first = _seconds(lambda recipe=recipe: open_windows(recipe, torch.device("cpu")))  # type: ignore[misc]
        windows, held_out = open_windows(recipe, torch.device("cpu"))
        frames = sum(clip.clip.num_frames for clip in windows.clips + held_out.clips)
        batches = SyncNetLosses(recipe, torch.device("cpu")).batches(windows, 0)
        batch = _seconds(lambda batches=batches: [next(batches) for _ in range(5)]) / 5  # type: ignore[misc]
        made = first / frames * recipe.num_frames
        lines.append(f"| {name}, windows a second, cached | {recipe.batch_size / batch:.0f} |")
        lines.append(f"| the same, made on the way | {1 / made:.1f} |")
    recipe = read_recipe(RECIPES / "mini_syncnet.yaml", SyncNetRecipe, _settings(common))
    train_syncnet(recipe)
    share = read_run(recipe.run_dir, "run").waiting_share
    return [*lines, f"| mini_syncnet, share of the time waiting for data | {share:.0%} |"] if share else lines


def measure_prepare(raw: Path, count: int, folder: Path) -> list[str]:
    """Seconds of `prepare` for the first videos of a folder, with 1 and 2 processes."""
    (folder / "raw").mkdir()
    for video in sorted(raw.resolve().glob("*.mp4"))[:count]:
        (folder / "raw" / video.name).symlink_to(video)
    seconds = {}
    for workers in (1, 2):
        options = PrepareOptions(clips="whole", workers=workers)
        seconds[workers] = _seconds(
            lambda options=options, workers=workers: prepare_videos(folder / "raw", folder / str(workers), options)  # type: ignore[misc]
        )
    return [
        f"| prepare, {count} videos, 1 process, seconds | {seconds[1]:.0f} |",
        f"| prepare, {count} videos, 2 processes, seconds | {seconds[2]:.0f} |",
        f"| 2 processes are faster by | {seconds[1] / seconds[2]:.2f} |",
    ]


def make_up_clips(root: Path) -> Path:
    """Clips of smooth pictures and noise, the last person held out."""
    generator = np.random.default_rng(0)
    for number in range(PEOPLE):
        folder = root / f"person-{number}"
        folder.mkdir(parents=True)
        ramp = np.linspace(0, 200, SIDE)[None, :, None] + generator.uniform(0, 50, (FRAMES, 1, 1, 3))
        np.save(folder / "crops.npy", np.broadcast_to(ramp, (FRAMES, SIDE, SIDE, 3)).astype(np.uint8))
        np.save(folder / "mesh.npy", generator.uniform(0, SIDE, (FRAMES, 468, 2)).astype(np.float32))
        np.save(folder / "pcm.npy", generator.integers(-9000, 9000, FRAMES * 640).astype(np.int16))
        split = "val" if number == PEOPLE - 1 else "train"
        meta = {"identity": folder.name, "split": split, "kind": "real", "frames": FRAMES}
        (folder / "meta.json").write_text(json.dumps(meta))
    return root


def _settings(values: dict[str, object]) -> list[str]:
    return [f"{key}={json.dumps(value if isinstance(value, int) else str(value))}" for key, value in values.items()]


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
