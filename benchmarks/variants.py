"""What a choice costs: the same window of frames with one thing changed at a time, all in one process.

    python -m benchmarks.variants [--bundle mini] [--device cpu] [--repeats 2] [--json FILE]

Measured is all that happens to a window between its crops and its decoded faces. Every variant is done in every round,
so that a machine that slows down slows all; the best round counts. Windows that overlap (the product's own way) or are
joined by carry finish all but the shared frames, windows side by side all (benchmarks.window_joins: how it looks).
"""

import argparse
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.bundles import measured_bundle
from benchmarks.clips import SAMPLE_AUDIO, SAMPLE_VIDEO
from benchmarks.meter import Reading
from benchmarks.parts import add_output, say
from benchmarks.picture_stages import read_clip
from benchmarks.window_joins import CarryingUNet
from latentsync_core.bundle import Bundle
from latentsync_core.diffusion.guidance import is_guided
from latentsync_core.diffusion.latents import spatial_factor
from latentsync_core.face.reference_detail import restore_detail
from latentsync_core.media.audio import read_speech
from latentsync_core.media.probe import probe_media
from latentsync_core.mouth_generator import Denoising, MouthGenerator
from latentsync_core.options import LipSyncOptions
from latentsync_core.windows import overlap_of

DTYPES = {"cpu": ("float32", "bfloat16"), "cuda": ("float32", "bfloat16", "float16")}


class Window:
    """The frames that all variants work on: one window of a clip, and its sound."""

    def __init__(self, bundle: Bundle, video: Path, audio: Path) -> None:
        self.size = bundle.config.window_frames
        self._clip, _ = read_clip(video, self.size, bundle, lambda _: nullcontext(Reading()), 1)
        pcm = torch.from_numpy(read_speech(probe_media(audio)))
        self._features = bundle.audio_encoder.encode(pcm.to(bundle.device))

    def generate(self, bundle: Bundle, denoising: Denoising, finished: int, is_carried: bool = False) -> None:
        """Make its faces and decode the first `finished`; carried: the first frames are held to known latents."""
        if is_carried:
            shared = bundle.config.window_overlap
            side = bundle.config.resolution // spatial_factor(bundle.vae)
            known = torch.zeros(shared, bundle.vae.config.latent_channels, side, side, device=bundle.device)
            bundle = replace(bundle, unet=CarryingUNet(bundle, known))  # type: ignore[arg-type]
        generator = MouthGenerator(bundle, self._features, denoising)
        references = self._clip.references
        latents = generator.denoise_block(
            self._clip.crops,
            [index / float(self._clip.grid.fps) for index in range(self.size)],
            [range(self.size)],
            first_frame=0,
            references=references,
            on_step=lambda: None,
        )
        faces = generator.decode(latents[:finished])
        if references is not None:
            coded = generator.reconstruct(references[0])
            for face, given in zip(faces, references, strict=False):
                restore_detail(face, given, coded)


@torch.inference_mode()
def measure_variants(
    load: Callable[[str | None], Bundle], video: Path, audio: Path, repeats: int = 2
) -> dict[str, Any]:
    """Measure all variants of one bundle.

    Args:
        load: gives the bundle in a dtype, None = the product's choice.
        video: a face on each of its first frames, as many as a window has.
        audio: speech.
        repeats: rounds, of which the best counts.

    Returns:
        Facts, and for each variant the seconds per finished frame; the first one is the product's own way.
    """
    bundle = load(None)
    window = Window(bundle, video, audio)
    work = _variants_of(bundle, load, window)
    finished = {name: count for name, (count, _) in work.items()}
    best = dict.fromkeys(work, float("inf"))
    for number in range(repeats + 1):  # the first round warms up
        for name, (_, generate) in work.items():
            start = time.perf_counter()
            generate()
            if bundle.device.type == "cuda":
                torch.cuda.synchronize(bundle.device)
            if number:
                best[name] = min(best[name], time.perf_counter() - start)
    return {
        "bundle": bundle.name,
        "device": bundle.device.type,
        "seconds_per_frame": {name: seconds / finished[name] for name, seconds in best.items()},
    }


def _variants_of(
    bundle: Bundle, load: Callable[[str | None], Bundle], window: Window
) -> dict[str, tuple[int, Callable[[], None]]]:
    """Name each variant, with the frames it finishes and what does it."""
    config, own_dtype = bundle.config, str(bundle.dtype).removeprefix("torch.")
    usual = Denoising(config.default_steps, config.default_guidance, LipSyncOptions().seed)
    overlap = overlap_of(bundle.unet.config, config.window_overlap)
    count = window.size - overlap
    variants: dict[str, tuple[int, Callable[[], None]]] = {
        f"{own_dtype}, {usual.steps} steps, guidance {usual.guidance:g}": (
            count,
            partial(window.generate, bundle, usual, count),
        )
    }
    for dtype in DTYPES[bundle.device.type]:
        if dtype != own_dtype:
            variants[dtype] = count, partial(window.generate, load(dtype), usual, count)
    for steps in (1, 2 * usual.steps):
        name = "1 step" if steps == 1 else f"{steps} steps"
        variants[name] = count, partial(window.generate, bundle, replace(usual, steps=steps), count)
    if is_guided(usual.guidance):
        variants["no guidance"] = count, partial(window.generate, bundle, replace(usual, guidance=1.0), count)
    if overlap:
        variants["windows side by side"] = window.size, partial(window.generate, bundle, usual, window.size)
        carried = partial(window.generate, bundle, usual, count, is_carried=True)
        variants["windows joined by carry"] = count, carried
    return variants


def main() -> None:
    """Measure one bundle and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", default="mini")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--repeats", type=int, default=2, help="rounds; the best counts (default: %(default)s)")
    parser.add_argument("--video", type=Path, default=SAMPLE_VIDEO)
    parser.add_argument("--audio", type=Path, default=SAMPLE_AUDIO)
    add_output(parser)
    chosen = parser.parse_args()

    def load(dtype: str | None) -> Bundle:
        return measured_bundle(chosen.bundle, chosen.device, dtype)

    say(measure_variants(load, chosen.video, chosen.audio, chosen.repeats), chosen.json)


if __name__ == "__main__":
    main()
