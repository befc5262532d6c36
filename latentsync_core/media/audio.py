"""The sound of a file, as the networks hear it: 16 kHz mono. The result never carries this signal.

Time 0 is the file's beginning: encoder priming and edit lists are skipped, a track that starts late is preceded by
silence, gaps are filled, so a sample's position is its time.
"""

import numpy as np
from numpy.typing import NDArray

from latentsync_core.errors import NoSpeech, UnreadableMedia
from latentsync_core.media.ffmpeg import INPUT_LIMITS, CommandFailed, file_url, run_command, shown
from latentsync_core.media.probe import MediaInfo

SAMPLE_RATE = 16_000  # Hz, what Whisper and SyncNet hear
ALIGN_TO_CLOCK = "aresample=async=1:first_pts=0"
DECODE_SECONDS_LIMIT = 600.0
SILENCE_DBFS = -55.0  # loudest tenth of a second below this: nobody speaks
LOUDNESS_SECONDS = 0.1

PCM = NDArray[np.float32]  # (N,) in [-1, 1], 16 kHz


def read_speech(info: MediaInfo) -> PCM:
    """Decode the first sound track.

    Returns:
        (N,) float32 in [-1, 1], 16 kHz mono.

    Raises:
        NoSpeech: if there is no sound track, or it is empty or silent.
        UnreadableMedia: if it cannot be decoded.
    """
    audio = info.require_audio()
    arguments = ["ffmpeg", "-v", "error", "-nostdin", *INPUT_LIMITS, "-i", file_url(info.path)]
    arguments += ["-map", "0:a:0", "-af", ALIGN_TO_CLOCK, "-ac", "1", "-ar", str(SAMPLE_RATE), "-f", "f32le", "pipe:1"]
    try:
        pcm = np.frombuffer(run_command(arguments, seconds=DECODE_SECONDS_LIMIT), dtype="<f4")
    except CommandFailed as error:
        raise UnreadableMedia(f"the sound of {shown(info.path)} cannot be decoded: {error}") from error
    if info.container.startswith("mov"):  # states the true end; decoders also give the padding of the last packet
        pcm = pcm[: round((audio.start + audio.duration) * SAMPLE_RATE)]
    if pcm.size == 0:
        raise NoSpeech(f"The sound track of {shown(info.path)} is empty.")
    if loudest_dbfs(pcm) < SILENCE_DBFS:
        raise NoSpeech(f"The sound track of {shown(info.path)} is silent. Choose a file in which someone speaks.")
    return np.nan_to_num(np.clip(pcm, -1.0, 1.0))


def loudest_dbfs(pcm: PCM) -> float:
    """Give the loudness of the loudest tenth of a second, in dB against full scale; -200 for digital silence."""
    length = min(len(pcm), round(LOUDNESS_SECONDS * SAMPLE_RATE))
    usable = pcm[: len(pcm) // length * length].reshape(-1, length)
    loudest = float(np.sqrt(np.nanmax(np.square(usable, dtype=np.float64).mean(axis=1))))
    return 20 * float(np.log10(max(loudest, 1e-10)))
