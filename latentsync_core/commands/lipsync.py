"""`lipsync VIDEO AUDIO OUT`: one run of the pipeline, with a progress bar."""

import argparse
import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import get_args

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar

from latentsync_core.commands.quiet import native_stderr_silenced
from latentsync_core.media.probe import probe_media
from latentsync_core.options import AudioLonger, AudioShorter, FaceBackend, LipSyncOptions
from latentsync_core.progress import Progress
from latentsync_core.report import LipSyncReport

STAGE_NAMES = {
    "load": "loading the models",
    "probe": "reading the files",
    "audio": "listening",
    "face": "looking for the face",
    "diffusion": "generating",
    "encode": "encoding",
    "finish": "joining picture and sound",
}


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    defaults = LipSyncOptions()
    parser = subparsers.add_parser("lipsync", help="make a video speak a speech track")
    parser.add_argument("video", type=Path, metavar="VIDEO", help="a video or a still picture")
    parser.add_argument("audio", type=Path, metavar="AUDIO", help="a sound file, or a video whose sound is used")
    parser.add_argument("out", type=Path, metavar="OUT", help="the mp4 to write")
    parser.add_argument("--model", default="mini", help="name or folder of the model bundle (default: %(default)s)")
    parser.add_argument("--steps", type=int, help="denoising steps (default: the bundle's)")
    parser.add_argument("--guidance", type=float, help="guidance scale (default: the bundle's)")
    parser.add_argument("--seed", type=int, default=defaults.seed, help="of the noise (default: %(default)s)")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--face-backend", default=defaults.face_backend, choices=get_args(FaceBackend))
    parser.add_argument(
        "--face", type=_face, help="index from the left (0, 1, ...) or point X,Y on the first frame with a face"
    )
    parser.add_argument(
        "--audio-longer",
        default=defaults.audio_longer,
        choices=get_args(AudioLonger),
        help="how the picture goes on when the sound is longer (default: %(default)s)",
    )
    parser.add_argument(
        "--audio-shorter",
        default=defaults.audio_shorter,
        choices=get_args(AudioShorter),
        help="end with the sound, or let the rest pass unchanged (default: %(default)s)",
    )
    parser.add_argument("--report", type=Path, metavar="JSON", help="write what was done, and what it cost")
    parser.add_argument("--work-dir", type=Path, help="keep finished segments here; a second run goes on after them")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Load the bundle, run the pipeline, write the report."""
    options = LipSyncOptions(
        steps=arguments.steps,
        guidance=arguments.guidance,
        seed=arguments.seed,
        audio_longer=arguments.audio_longer,
        audio_shorter=arguments.audio_shorter,
        face=arguments.face,
        face_backend=arguments.face_backend,
    )
    probe_media(arguments.video).require_video()  # a wrong file is told at once, not after the models are loaded
    probe_media(arguments.audio).require_audio()
    with nullcontext() if arguments.verbose else native_stderr_silenced():
        console = Console(stderr=True, quiet=arguments.quiet)
        report = _run_with_bar(arguments, options, console)
    if arguments.report is not None:
        report.write(arguments.report)
    if not arguments.quiet:
        sys.stderr.write(_summary(report, arguments.out) + "\n")
    return 0


def _run_with_bar(arguments: argparse.Namespace, options: LipSyncOptions, console: Console) -> LipSyncReport:
    with _progress_bar(console) as bar:
        task = bar.add_task(STAGE_NAMES["load"], total=None)

        def show(progress: Progress) -> None:
            known = progress.frames_total if progress.stage in ("face", "diffusion", "encode") else None
            bar.update(task, description=STAGE_NAMES[progress.stage], completed=progress.frames_done, total=known)

        # Before torch is loaded: its threads must sleep when they wait, or they starve decoding and encoding.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        from latentsync_core.pipeline import LipSyncPipeline  # here: loading torch takes seconds

        pipeline = LipSyncPipeline.from_bundle(arguments.model, device=arguments.device)
        return pipeline.run(
            arguments.video, arguments.audio, arguments.out, options, work_dir=arguments.work_dir, on_progress=show
        )


def _progress_bar(console: Console) -> ProgressBar:
    return ProgressBar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


def _summary(report: LipSyncReport, out: Path) -> str:
    lines = [
        f"{out}: {report.frames} frames, {report.width} x {report.height}, {report.fps:g} fps, "
        f"{report.frames_without_face} without a face, {report.seconds_total:.1f} s on {report.device}"
    ]
    return "\n".join([*lines, *(f"note: {warning}" for warning in report.warnings)])


def _face(text: str) -> int | tuple[float, float]:
    """Read "1" as an index and "320,200" as a point."""
    try:
        if "," not in text:
            return int(text)
        x, y = (float(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is neither an index nor a point X,Y") from error
    return x, y
