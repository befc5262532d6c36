"""The results of one of our models on a benchmark's pairs; those that are there already are left alone."""

from collections.abc import Callable
from pathlib import Path

import soundfile

from latentsync_core.evaluation.pairs import Pair
from latentsync_core.evaluation.seen_clip import hear
from latentsync_core.media.audio import SAMPLE_RATE
from latentsync_core.options import LipSyncOptions
from latentsync_core.pipeline import LipSyncPipeline


def generate_results(
    model: str,
    device: str,
    pairs: list[Pair],
    folder: Path,
    options: LipSyncOptions,
    max_seconds: float,
    on_done: Callable[[int, int], None],
) -> None:
    """Write NAME.mp4 for every pair; the sound is cut to its first seconds.

    Raises:
        LipSyncError: whatever the pipeline says of a pair.
    """
    folder.mkdir(parents=True, exist_ok=True)
    absent = [pair for pair in pairs if not (folder / f"{pair.name}.mp4").is_file()]
    pipeline = LipSyncPipeline.from_bundle(model, device=device) if absent else None
    for done, pair in enumerate(absent):
        on_done(done, len(absent))
        speech = folder / f"{pair.name}.wav"
        soundfile.write(speech, hear(pair.audio, max_seconds), SAMPLE_RATE)
        assert pipeline is not None
        pipeline.run(pair.source, speech, folder / f"{pair.name}.mp4", options)
        speech.unlink()
    on_done(len(absent), len(absent))
