"""Paste the reference: what a table looks like without any generation. The source with one fixed mouth of its own.

The frame whose mouth opening is the median gives the mouth; it is pasted into every frame by our paste-back, with the
published models' mask, and neither turned nor moved. Whoever does not beat this row generates nothing.
"""

import shutil
import tempfile
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np

from latentsync_core.data_preparation.face_mesh import mouth_opening
from latentsync_core.evaluation.seen_clip import FPS, SIDE, SeenClip, read_at_25
from latentsync_core.face.alignment import crop_face
from latentsync_core.face.mask import official_mask
from latentsync_core.face.paste_back import paste_face
from latentsync_core.media.color import result_tags
from latentsync_core.media.mux import join_segments
from latentsync_core.media.probe import probe_media
from latentsync_core.media.video_writer import VideoWriter


def write_pasted_reference(source: SeenClip, audio: Path, out: Path, max_seconds: float) -> None:
    """Write the baseline's video at 25 fps, with the pair's sound.

    Args:
        source: seen with its own alignments.
        audio: a file with sound.
        out: the mp4 to write.
        max_seconds: as the source was seen with.
    """
    openings = np.where(source.has_face, mouth_opening(source.meshes), np.inf)
    ranked = np.argsort(openings)[: int(source.has_face.sum())]
    chosen = int(ranked[len(ranked) // 2])
    info = probe_media(source.path)
    video = info.require_video()
    mask = official_mask(SIDE)
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{out.stem}.", dir=out.parent))
    try:
        frame = next(islice(read_at_25(source.path, max_seconds), chosen, None))
        reference = crop_face(frame, source.fits[chosen], SIDE)
        segment = folder / "00000.mp4"
        count = 0
        size, tags = (video.width, video.height), result_tags(video)
        with VideoWriter(segment, size, Fraction(FPS), tags, video.sample_aspect_ratio) as writer:
            for index, frame in enumerate(read_at_25(source.path, max_seconds)):
                fit = source.fits[index]
                writer.write(frame if np.isnan(fit[0, 0]) else paste_face(frame, reference, fit, mask))
                count += 1
        join_segments([segment], probe_media(audio), out, num_frames=count, fps=Fraction(FPS))
    finally:
        shutil.rmtree(folder)
