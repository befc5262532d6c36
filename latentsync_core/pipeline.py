"""LipSyncPipeline: a video and a speech track in, the same video speaking it out (LatentSync, arXiv:2412.09262).

The stages overlap, each in a thread, with small queues between them; nothing grows with the length of the video but
some numbers per frame:

    face analysis      decode, detect, track            thread, as far ahead as it likes: small results
    frame supply       decode in the result's order, crop     thread, a few frames ahead
    mouth generation   encode, denoise in windows, decode     here, the caller's thread
    paste and encode   paste back, H.264                      thread, a few frames behind

What differs from the reference, and why: docs/decisions.md.
"""

import logging
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch

from latentsync_core.bundle import Bundle, load_bundle
from latentsync_core.errors import BadOption
from latentsync_core.face.paste_back import paste_face
from latentsync_core.face.reference_detail import restore_detail
from latentsync_core.face_analysis import FaceAnalysis
from latentsync_core.frame_supply import (
    Crop,
    FrameSupply,
    ReconstructedAnchors,
    SuppliedFrame,
    frame_states,
    gather_blocks,
    references_of,
    sharpen_mouths,
)
from latentsync_core.media.audio import SAMPLE_RATE, read_speech
from latentsync_core.media.frame_grid import read_frame_grid
from latentsync_core.media.mux import join_segments
from latentsync_core.media.probe import MediaLimits, probe_media
from latentsync_core.media.video_reader import VideoReader
from latentsync_core.media.video_writer import even_size
from latentsync_core.mouth_generator import Denoising, MouthGenerator, blend_lead
from latentsync_core.options import LipSyncOptions
from latentsync_core.progress import Progress, ProgressCallback, Stage, ignore_progress
from latentsync_core.report import LipSyncReport
from latentsync_core.run_inputs import RunInputs
from latentsync_core.segments import SegmentFolder, SegmentWriter
from latentsync_core.stage_clock import MIB, MemoryWatch, StageClock
from latentsync_core.streaming import BackgroundSink, Prefetcher
from latentsync_core.timeline import plan_timeline, segments_of
from latentsync_core.windows import Block, overlap_of, phases_of, plan_blocks

logger = logging.getLogger(__name__)

DEFAULT_OPTIONS, DEFAULT_LIMITS = LipSyncOptions(), MediaLimits()
SEGMENT_SECONDS = 4.0
QUEUE_BYTES = 128 * 2**20  # of pictures waiting between two threads
MIN_QUEUE, MAX_QUEUE = 4, 8  # frames


@dataclass(frozen=True, eq=False)
class FinishedFrame:
    """A result frame before pasting: what the source shows, and the new face (None = it passes through)."""

    frame: SuppliedFrame
    mouth: Crop | None


class LipSyncPipeline:
    """Lip-syncs videos with one model bundle, which stays loaded between runs."""

    def __init__(self, bundle: Bundle, limits: MediaLimits = DEFAULT_LIMITS) -> None:
        self.bundle = bundle
        self._limits = limits

    @classmethod
    def from_bundle(
        cls,
        name_or_folder: str | Path,
        *,
        device: str = "auto",
        dtype: torch.dtype | None = None,
        cache_dir: Path | None = None,
    ) -> "LipSyncPipeline":
        """Load a bundle by name ("mini") or from a folder.

        Args:
            name_or_folder: of the bundle.
            device: "cpu", "cuda", or "auto" = cuda if there is one.
            dtype: of the networks; None = what the bundle finds best on the device.
            cache_dir: where downloaded bundles lie; None = the default cache.

        Raises:
            BundleNotFound: if there is no such bundle, or it is incomplete.
            BadCheckpoint: if its weights do not fit its networks.
        """
        return cls(load_bundle(name_or_folder, device=device, dtype=dtype, cache_dir=cache_dir))

    @torch.inference_mode()
    def run(
        self,
        video: Path,
        audio: Path,
        out: Path,
        options: LipSyncOptions = DEFAULT_OPTIONS,
        *,
        work_dir: Path | None = None,
        on_progress: ProgressCallback = ignore_progress,
    ) -> LipSyncReport:
        """Make `video` speak `audio`.

        Args:
            video: a video, or a still picture.
            audio: a sound file, or a video whose sound is used.
            out: the mp4 to write; it appears only when it is complete.
            options: the user's choices.
            work_dir: keeps finished segments; a second run with the same inputs goes on after them. None = a private
                folder, removed at the end.
            on_progress: told at every denoising step; ends the run by raising Cancelled.

        Raises:
            UnreadableMedia, NoSpeech, FaceNotFound, BadOption, EncodingFailed: what is wrong, in plain words.
            Cancelled: whatever `on_progress` raised; all threads and children are gone, finished segments stay.
        """
        if out.exists() and any(out.samefile(path) for path in (video, audio) if path.exists()):
            raise BadOption(f"the result would overwrite its own input {out.name!r}; choose another name")
        with ExitStack() as stack:
            if work_dir is None:
                work_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lipsync-")))
            run = _Run(self.bundle, options, self._limits, on_progress)
            memory = stack.enter_context(MemoryWatch())
            start = time.perf_counter()
            run.work(video, audio, out, work_dir)
        run.report.seconds_total = round(time.perf_counter() - start, 3)
        run.report.peak_host_memory_mib = round(memory.peak_mib, 1)
        logger.info("%d frames in %.1f s: %s", run.report.frames, run.report.seconds_total, out.name)
        return run.report


class _Run:
    """One run: the stages in order, and what they report."""

    def __init__(
        self, bundle: Bundle, options: LipSyncOptions, limits: MediaLimits, on_progress: ProgressCallback
    ) -> None:
        self._bundle, self._options, self._limits, self._on_progress = bundle, options, limits, on_progress
        config = bundle.config
        steps = options.steps if options.steps is not None else config.default_steps
        guidance = options.guidance if options.guidance is not None else config.default_guidance
        self._denoising = Denoising(steps, guidance, options.seed)
        self._clock = StageClock()
        self._frames_total = self._segments_done = 0
        dtype = str(bundle.dtype).removeprefix("torch.")
        self.report = LipSyncReport(config.name, str(bundle.device), dtype, options.seed, steps, guidance)

    def work(self, video: Path, audio: Path, out: Path, work_dir: Path) -> None:
        """Do everything from probing to the joined result."""
        if self._bundle.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._bundle.device)
        inputs = self._read_inputs(video, audio)
        timeline = inputs.timeline
        plan = segments_of(timeline.num_frames, timeline.fps, SEGMENT_SECONDS)
        folder = SegmentFolder(work_dir, plan, inputs.facts(self._bundle, self._options, self._denoising))
        self._segments_done = folder.num_resumed
        self._make_segments(inputs, folder)
        self._tell("finish", timeline.num_frames)
        with self._clock.measure("finish"):
            out.parent.mkdir(parents=True, exist_ok=True)
            join_segments(folder.paths, inputs.sound, out, num_frames=timeline.num_frames, fps=timeline.fps)
        self.report.segments, self.report.segments_resumed = len(plan), folder.num_resumed
        self.report.seconds_per_stage = self._clock.seconds
        if self._bundle.device.type == "cuda":
            peak = torch.cuda.max_memory_allocated(self._bundle.device)
            self.report.peak_device_memory_mib = round(peak / MIB, 1)

    def _read_inputs(self, video: Path, audio: Path) -> RunInputs:
        self._tell("probe")
        with self._clock.measure("probe"):
            source, sound = probe_media(video, self._limits), probe_media(audio, self._limits)
            source.require_video()
            grid = read_frame_grid(source)
        self._tell("audio")
        with self._clock.measure("audio"):
            pcm = read_speech(sound)
            features = self._bundle.audio_encoder.encode(torch.from_numpy(pcm).to(self._bundle.device))
        options = self._options
        timeline = plan_timeline(
            grid.num_frames, grid.fps, len(pcm) / SAMPLE_RATE, options.audio_longer, options.audio_shorter
        )
        self._frames_total = timeline.num_frames
        self.report.frames, self.report.fps = timeline.num_frames, float(timeline.fps)
        inputs = RunInputs(source, sound, grid, timeline, features)
        self.report.warnings += inputs.warnings()
        return inputs

    def _make_segments(self, inputs: RunInputs, folder: SegmentFolder) -> None:
        timeline, config = inputs.timeline, self._bundle.config
        phases = phases_of(timeline.fps, config.video_fps)
        looked_at = 1 + max(timeline.sources[: timeline.num_spoken])
        with ExitStack() as stack:
            reader = stack.enter_context(VideoReader(inputs.source, inputs.grid))
            is_anchored = config.reference == "anchor"
            anchors = stack.enter_context(VideoReader(inputs.source, inputs.grid)) if is_anchored else None
            self.report.width, self.report.height = even_size(reader.width, reader.height)
            analysis = FaceAnalysis(inputs.source, inputs.grid, looked_at, self._options, self._clock)
            supply = FrameSupply(reader, anchors, timeline, analysis, config.resolution, self._clock, config.max_yaw)
            overlap = overlap_of(self._bundle.unet.config, config.window_overlap)
            blocks = plan_blocks(frame_states(timeline, analysis), config.window_frames, overlap, phases)
            frames = supply.frames_of(blocks, folder.first_missing_frame)
            queue_length = min(max(QUEUE_BYTES // (reader.width * reader.height * 3), MIN_QUEUE), MAX_QUEUE)
            waiting = self._waiting_for(analysis)
            # Left in the opposite order: what a thread may be waiting for is stopped before the thread itself.
            writer = SegmentWriter(folder, inputs.writer_opener((reader.width, reader.height)))
            stack.callback(writer.abort)
            sink = stack.enter_context(BackgroundSink(self._composer(writer), queue_length, waiting))
            supplied = stack.enter_context(Prefetcher(frames, queue_length, waiting))
            for reading in filter(None, (reader, anchors)):
                stack.callback(reading.stop)
            stack.enter_context(analysis)
            self._generate(inputs, supplied, phases, folder.first_missing_frame, sink)
        self.report.frames_with_face = supply.frames_with_face
        self.report.frames_without_face = timeline.num_frames - supply.frames_with_face
        self.report.frames_turned_away = supply.frames_turned_away
        if supply.frames_turned_away:
            self.report.warnings.append(
                f"in {supply.frames_turned_away} of {timeline.num_frames} frames the head is turned further than "
                f"the model {config.name} can draw; they are shown as they were"
            )
        self.report.frames_detected_on, self.report.shots = analysis.frames_seen, analysis.num_shots
        if held := max(reader.num_held, analysis.num_held):
            self.report.warnings.append(f"{held} frames could not be decoded; the picture before them was kept")

    def _generate(
        self,
        inputs: RunInputs,
        supplied: Iterable[SuppliedFrame],
        phases: int,
        first_needed: int,
        sink: BackgroundSink[FinishedFrame],
    ) -> None:
        """Generate block after block and hand the frames to the sink; the heart of the run."""
        generator = MouthGenerator(self._bundle, inputs.features, self._denoising)
        anchors = ReconstructedAnchors(generator.reconstruct)
        shared: torch.Tensor | None = None
        for block, frames in gather_blocks(supplied):
            faces: list[Crop | None] = [None] * len(frames)
            if block.shot is not None:
                crops = [frame.crop for frame in frames if frame.crop is not None]
                windows = block.windows(phases)
                with self._clock.measure("crop"):
                    references = references_of(frames)
                with self._clock.measure("diffusion"):
                    latents = generator.denoise_block(
                        crops,
                        [inputs.timeline.audio_time(frame.index) for frame in frames],
                        windows,
                        first_frame=block.frames.start,
                        references=references,
                        on_step=self._step_counter(block, len(windows)),
                    )
                    if block.lead and shared is not None:
                        latents[: block.lead] = blend_lead(shared, latents[: block.lead])
                    shared = latents[len(block.finished) :]
                    done = len(block.finished)
                    drawn = generator.decode(latents[:done])
                    faces = [*drawn]
                    if references is not None:
                        coded = anchors.of(frames[:done])
                        detailed = [restore_detail(*each) for each in zip(drawn, references, coded, strict=False)]
                        faces = [*sharpen_mouths(frames[:done], detailed, drawn)]
            for frame, face in zip(frames, faces, strict=False):  # the shared tail is finished by the next block
                if frame.index >= first_needed:
                    sink.put(FinishedFrame(frame, face))
            self._tell("diffusion", block.finished.stop)

    def _step_counter(self, block: Block, num_windows: int) -> Callable[[], None]:
        """Give a callback that reports the block's frames in proportion to the denoising steps done."""
        steps_total, steps_done = self._denoising.steps * num_windows, 0

        def count() -> None:
            nonlocal steps_done
            steps_done += 1
            self._tell("diffusion", block.frames.start + len(block.finished) * steps_done // steps_total)

        return count

    def _composer(self, writer: SegmentWriter) -> Callable[[FinishedFrame], None]:
        mask = self._bundle.mask.cpu().numpy()
        paste_mask = self._bundle.paste_mask.numpy() if self._bundle.paste_mask is not None else None

        def compose(finished: FinishedFrame) -> None:
            picture, face = finished.frame.picture, finished.frame.face
            if finished.mouth is not None and face is not None and face.matrix is not None:
                with self._clock.measure("paste"):
                    picture = paste_face(
                        picture,
                        finished.mouth,
                        face.matrix,
                        mask,
                        paste_mask=paste_mask,
                        opacity=finished.frame.opacity,
                        crop=finished.frame.crop,
                    )
            with self._clock.measure("encode"):
                writer.write(finished.frame.index, picture)
            self._segments_done = writer.num_finished

        return compose

    def _waiting_for(self, analysis: FaceAnalysis) -> Callable[[], None]:
        """Give what to do while the caller's thread waits: report, which is also the chance to cancel."""

        def report() -> None:
            if self._last.stage == "diffusion":
                self._tell("diffusion", self._last.frames_done)
            else:
                self._tell("face", analysis.frames_seen)

        return report

    def _tell(self, stage: Stage, frames_done: int = 0) -> None:
        self._last = Progress(stage, min(frames_done, self._frames_total), self._frames_total, self._segments_done)
        self._on_progress(self._last)
