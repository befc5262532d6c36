"""Joining: finished segments and the sound as it was given, into one mp4, without encoding the picture again.

AAC that begins at 0 is copied packet by packet; all else becomes AAC at 192 kbit/s from the original, at its own sample
rate and channels. A copied track can only be cut between packets (21 ms at 48 kHz): it is cut at the packet boundary
nearest to the end of the picture; if that can be more than a frame off, it is encoded instead.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from latentsync_core.errors import EncodingFailed
from latentsync_core.media.audio import ALIGN_TO_CLOCK
from latentsync_core.media.ffmpeg import FORMATS, INPUT_LIMITS, PROTOCOLS, CommandFailed, file_url, run_command
from latentsync_core.media.probe import AudioInfo, MediaInfo

AAC_BITRATE = "192k"
LC_PACKET_SAMPLES, LONGEST_PACKET_SAMPLES = 1024, 2048  # the longer ones are HE-AAC's
STARTS_AT_ZERO = 0.001  # seconds
MUX_SECONDS_LIMIT = 900.0


def join_segments(segments: Sequence[Path], sound: MediaInfo, out: Path, *, num_frames: int, fps: Fraction) -> None:
    """Write the result: segments one after the other, with the sound cut to the picture's length.

    Args:
        segments: mp4 files without sound in one folder, in order, their names plain (00000.mp4).
        sound: the file whose first sound track is carried.
        out: the mp4 to write; it appears only when it is complete.
        num_frames: of all segments together.
        fps: of the segments.

    Raises:
        EncodingFailed: if ffmpeg cannot join them; with its stderr.
    """
    partial = out.with_name(f"{out.name}.part")
    concat_list = segments[0].with_name("segments.txt")
    concat_list.write_text("".join(f"file {segment.name}\n" for segment in segments), encoding="utf-8")
    arguments = ["ffmpeg", "-v", "error", "-nostdin", "-y"]
    arguments += ["-protocol_whitelist", PROTOCOLS, "-format_whitelist", f"concat,{FORMATS}", "-f", "concat"]
    audio, seconds = sound.require_audio(), num_frames / fps
    copied = is_copied(audio, fps)
    arguments += ["-i", file_url(concat_list), *(_read_arguments(audio, seconds) if copied else [])]
    arguments += [*INPUT_LIMITS, "-i", file_url(sound.path), "-map", "0:v:0", "-map", "1:a:0", "-c:v", "copy"]
    arguments += ["-c:a", "copy"] if copied else _encode_arguments(audio, seconds)
    arguments += ["-map_metadata", "-1", "-movflags", "+faststart", "-f", "mp4", file_url(partial)]
    try:
        run_command(arguments, seconds=MUX_SECONDS_LIMIT)
    except CommandFailed as error:
        partial.unlink(missing_ok=True)
        raise EncodingFailed(f"ffmpeg could not join the result: {error}") from error
    finally:
        concat_list.unlink(missing_ok=True)
    partial.replace(out)


def is_copied(audio: AudioInfo, fps: Fraction) -> bool:
    """Tell whether a sound track can be carried packet by packet and still end with the picture."""
    return audio.codec == "aac" and abs(audio.start) <= STARTS_AT_ZERO and _packet_seconds(audio) / 2 <= 1 / fps


def _packet_seconds(audio: AudioInfo) -> float:
    return (LC_PACKET_SAMPLES if audio.profile == "LC" else LONGEST_PACKET_SAMPLES) / audio.sample_rate


def _encode_arguments(audio: AudioInfo, seconds: Fraction) -> list[str]:
    end = math.ceil(seconds * audio.sample_rate)
    return ["-af", f"{ALIGN_TO_CLOCK},atrim=end_sample={end}", "-c:a", "aac", "-b:a", AAC_BITRATE]


def _read_arguments(audio: AudioInfo, seconds: Fraction) -> list[str]:
    """Limit the packets that are read, so that the last one kept ends as near as can be to the picture's end."""
    half_packet = _packet_seconds(audio) / 2
    return [] if seconds >= audio.duration - half_packet else ["-t", f"{float(seconds) - half_packet:.6f}"]
