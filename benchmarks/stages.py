"""Every stage of a run by itself: time, memory, operations, bytes; and a trace on request.

    python -m benchmarks.stages [--bundle mini|official-256|official-512|FOLDER] [--device cpu] [--dtype bfloat16]
                                [--windows 2 | --brief] [--trace FOLDER] [--json FILE]

In a real run the stages overlap (benchmarks.whole_run). --trace writes one Chrome trace for each stage, to be opened
with ui.perfetto.dev; the times are then those of the traced run, which is slower.
"""

import argparse
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch

from benchmarks.bundles import measured_bundle
from benchmarks.clips import SAMPLE_AUDIO, SAMPLE_VIDEO
from benchmarks.meter import Reading, measured
from benchmarks.network_stages import NetworkStages, Sampling
from benchmarks.parts import add_output, say
from benchmarks.picture_stages import read_clip, write_clip
from latentsync_core.bundle import Bundle
from latentsync_core.media.audio import read_speech
from latentsync_core.media.probe import probe_media
from latentsync_core.mouth_generator import Denoising
from latentsync_core.options import LipSyncOptions
from latentsync_core.windows import overlap_of


def measure_stages(
    bundle: Bundle, video: Path, audio: Path, sampling: Sampling, trace: Path | None = None
) -> dict[str, Any]:
    """Measure the stages in the order of a run.

    Args:
        bundle: the networks.
        video: a face on each of its first `sampling.windows` windows of frames.
        audio: speech.
        sampling: how much is done.
        trace: an existing folder for Chrome traces.

    Returns:
        What was measured, ready for JSON: facts and a list `stages` of `StageFigures.to_dict`.
    """

    def meter(stage: str) -> AbstractContextManager[Reading]:
        return measured(bundle.device, None if trace is None else trace / f"{stage}.json.gz")

    config = bundle.config
    denoising = Denoising(config.default_steps, config.default_guidance, LipSyncOptions().seed)
    window = config.window_frames
    per_frame = window / (window - overlap_of(bundle.unet.config, config.window_overlap))
    clip, before = read_clip(video, window * sampling.windows, bundle, meter, per_frame)
    pcm = torch.from_numpy(read_speech(probe_media(audio)))
    faces, networks = NetworkStages(bundle, clip, denoising, sampling, meter).run(pcm)
    with tempfile.TemporaryDirectory() as folder:
        after = write_clip(clip, faces, bundle, Path(folder) / "out.mp4", meter)
    height, width = clip.frames[0].shape[:2]
    return {
        "bundle": bundle.name,
        "device": bundle.device.type,
        "dtype": str(bundle.dtype).removeprefix("torch."),
        "resolution": config.resolution,
        "frame": [width, height],
        "steps": denoising.steps,
        "guidance": denoising.guidance,
        "stages": [figures.to_dict() for figures in (*before, *networks, *after)],
    }


def main() -> None:
    """Measure one bundle and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", default="mini")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), help="default: the product's choice")
    parser.add_argument("--windows", type=int, default=2, help="windows of 16 frames (default: %(default)s)")
    parser.add_argument("--brief", action="store_true", help="one pass of the U-Net, two pictures, no warming up")
    parser.add_argument("--trace", type=Path, metavar="FOLDER", help="write a Chrome trace of each stage")
    parser.add_argument("--video", type=Path, default=SAMPLE_VIDEO)
    parser.add_argument("--audio", type=Path, default=SAMPLE_AUDIO)
    add_output(parser)
    chosen = parser.parse_args()
    if chosen.trace is not None:
        chosen.trace.mkdir(parents=True, exist_ok=True)
    bundle = measured_bundle(chosen.bundle, chosen.device, chosen.dtype)
    brief = Sampling(windows=1, is_brief=True, warm_up=False)
    sampling = brief if chosen.brief else Sampling(chosen.windows)
    say(measure_stages(bundle, chosen.video, chosen.audio, sampling, chosen.trace), chosen.json)


if __name__ == "__main__":
    main()
