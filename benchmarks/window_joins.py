"""Does the mouth jump where two windows of the temporal layers meet? Three ways of joining, measured.

    python benchmarks/window_joins.py VIDEO AUDIO [--model mini] [--windows 12] [--overlap 4]

none      windows of 16 frames side by side, as the reference does
overlap   windows share frames, whose latents are blended (what the pipeline does)
carry     a window's first frames are held to the clean latents of the window before

For each pair of neighbouring frames at a join, the mean absolute change of the decoded pixels inside the mask's hole is
divided by the change of the same pair when it lies in the middle of a window of its own: 1 = the join cannot be told
from the inside of a window, whatever the speech does there. For overlap and carry all pairs that touch
the shared frames count. `inside` is the same quotient for pairs next to no join: what windows differ by anyway.
Last figures: see benchmarks/README.md.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from latentsync_core.bundle import Bundle, load_bundle
from latentsync_core.face.alignment import crop_face
from latentsync_core.face.detectors import make_face_detector
from latentsync_core.face.reference import choose_anchor
from latentsync_core.face.tracking import FaceTracker
from latentsync_core.frame_supply import Anchor
from latentsync_core.media.audio import read_speech
from latentsync_core.media.frame_grid import read_frame_grid
from latentsync_core.media.probe import probe_media
from latentsync_core.media.video_reader import VideoReader
from latentsync_core.mouth_generator import Denoising, MouthGenerator, blend_lead

WINDOW = 16
Crops = list[np.ndarray]


class CarryingUNet:
    """The U-Net, except that what it predicts for the first frames leads to latents that are known already."""

    def __init__(self, bundle: Bundle, known: Tensor) -> None:
        self._bundle, self._known = bundle, known

    def __call__(self, sample: Tensor, timestep: Tensor, audio: Tensor) -> Tensor:
        """Predict, then put the known frames' own prediction in; arguments as those of the U-Net."""
        prediction = self._bundle.unet(sample, timestep, audio).clone()
        known = self._known.to(prediction).transpose(0, 1)[None]  # (1, C, F, h, w)
        channels, shared = known.shape[1], known.shape[2]
        scheduler = self._bundle.scheduler
        if scheduler.config.prediction_type == "epsilon":
            alpha = scheduler.alphas_cumprod[int(timestep)].to(prediction)
            known = (sample[:, :channels, :shared] - alpha.sqrt() * known) / (1 - alpha).sqrt()
        elif self._bundle.config.residual_reference:
            known = known - sample[:, -channels:, :shared]
        prediction[:, :, :shared] = known
        return prediction


class Study:
    """One clip: its crops, sound and model."""

    def __init__(self, bundle: Bundle, video: Path, audio: Path, num_frames: int, steps: int | None) -> None:
        self.bundle = bundle
        self.steps = steps or bundle.config.default_steps
        self.crops, self.references, self.fps = read_crops(video, num_frames, bundle)
        pcm = read_speech(probe_media(audio))
        self.features = bundle.audio_encoder.encode(torch.from_numpy(pcm).to(bundle.device))
        self.hole = bundle.mask[0, 0].cpu().numpy() < 0.5

    def latents(self, start: int, stop: int, known: Tensor | None = None) -> Tensor:
        """Denoise frames start..stop-1 as one window, the first of them held to `known` latents."""
        config = self.bundle.config
        denoising = Denoising(self.steps, config.default_guidance, 1247)
        bundle = self.bundle
        if known is not None:
            bundle = replace(bundle, unet=CarryingUNet(bundle, known))  # type: ignore[arg-type]
        generator = MouthGenerator(bundle, self.features, denoising)
        latents = generator.denoise_block(
            self.crops[start:stop],
            [frame / self.fps for frame in range(start, stop)],
            [range(stop - start)],
            first_frame=start,
            references=self.references[start:stop] if config.reference == "anchor" else None,
            on_step=lambda: None,
        )
        return latents

    def changes(self, latents: Tensor) -> np.ndarray:
        """Decode (F, C, h, w) and give the mean absolute change in the hole between neighbours, (F - 1,)."""
        generator = MouthGenerator(self.bundle, self.features, Denoising(1, 1.0, 0))
        faces = np.stack(generator.decode(latents)).astype(np.float32)[:, self.hole]
        return np.abs(np.diff(faces, axis=0)).mean(axis=(1, 2))


def read_crops(video: Path, num_frames: int, bundle: Bundle) -> tuple[Crops, Crops, float]:
    """Give the aligned faces of the first frames, their references, and the frame rate."""
    info = probe_media(video)
    grid = read_frame_grid(info)
    with VideoReader(info, grid) as reader, make_face_detector("mediapipe") as detector:
        frames = list(reader.read(0, min(num_frames, grid.num_frames)))
        tracker = FaceTracker(detector, float(grid.fps))
        faces = [face for frame in frames for face in tracker.push(frame)] + tracker.finish()
    resolution = bundle.config.resolution
    shown = [face for face in faces if face.landmarks]
    crops = [crop_face(frames[face.index], face.matrix, resolution) for face in shown]
    number = choose_anchor(faces)
    anchor = Anchor(crop_face(frames[number], faces[number].matrix, resolution), faces[number])
    return crops, [anchor.turned_as(face) for face in shown], float(grid.fps)


def join_windows(study: Study, way: str, num_windows: int, overlap: int) -> tuple[Tensor, list[int]]:
    """Make one stream of latents in the given way; also say before which frames there is a join."""
    if way == "none":
        stream = torch.cat([study.latents(w * WINDOW, (w + 1) * WINDOW) for w in range(num_windows)])
        return stream, [w * WINDOW for w in range(1, num_windows)]
    stride, stream, joins = WINDOW - overlap, study.latents(0, WINDOW), []
    for window in range(1, num_windows):
        start = window * stride
        shared = stream[start:]
        now = study.latents(start, start + WINDOW, shared if way == "carry" else None)
        if way == "overlap":
            now[:overlap] = blend_lead(shared, now[:overlap])
        stream = torch.cat([stream[:start], now])
        joins += range(start, start + overlap + 1)
    return stream, joins


@torch.inference_mode()
def main() -> None:
    """Measure the three ways and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("audio", type=Path)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--windows", type=int, default=12)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--overlap", type=int, help="frames that windows share (the bundle's)")
    arguments = parser.parse_args()
    bundle = load_bundle(arguments.model)
    study = Study(bundle, arguments.video, arguments.audio, arguments.windows * WINDOW, arguments.steps)
    shared = arguments.overlap or bundle.config.window_overlap
    num_windows = len(study.crops) // WINDOW
    centred: dict[int, float] = {}

    def change_inside(frame: int) -> float:
        """The change from frame - 1 to frame in a window that has both in its middle."""
        if frame not in centred:
            centred[frame] = float(
                study.changes(study.latents(frame - WINDOW // 2, frame + WINDOW // 2))[WINDOW // 2 - 1]
            )
        return centred[frame]

    print("way       pairs  mean  95th percentile  largest")
    for way in ("none", "overlap", "carry"):
        stream, joins = join_windows(study, way, num_windows, shared)
        changes = study.changes(stream)
        show(
            way,
            [changes[frame - 1] / change_inside(frame) for frame in joins if frame + WINDOW // 2 <= len(study.crops)],
        )
        if way == "none":
            middle = [w * WINDOW + WINDOW // 2 + 3 for w in range(1, num_windows - 1)]
            show("inside", [changes[frame - 1] / change_inside(frame) for frame in middle])


def show(way: str, quotients: list[float]) -> None:
    """Print one line of the table; none if the clip is too short for a join with room around it."""
    if not quotients:
        return
    values = np.array(quotients)
    print(
        f"{way:8s} {len(values):6d} {values.mean():5.2f} {np.percentile(values, 95):16.2f} {values.max():8.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
