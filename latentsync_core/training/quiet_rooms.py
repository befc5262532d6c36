"""Rooms in which nobody speaks: recordings hold next to no silence, so a U-Net would not know what it looks like.

Frames whose lips are closed are shown with the sound of such a room instead of their own (`quiet_share` of a recipe).
"""

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from latentsync_core.audio.audio_encoder import AudioEncoder
from latentsync_core.data_preparation.face_mesh import mouth_opening
from latentsync_core.training.face_clips import SAMPLE_RATE, FaceClip

NUM_ROOMS = 24
ROOM_SECONDS, SPEECH_SECONDS = 3, 2
HEARD_STATES = 50 * (ROOM_SECONDS - 1)  # the rest begins while speech is still heard
LEVELS = (-80.0, -45.0)  # dBFS, root mean square
MOST_SLOPE = 1.2  # of the amplitude over frequency, as a power: 0 = white, 0.5 = pink, 1 = brown
CLOSED_PERCENTILE = 5  # of a clip's openings, up to which its lips are closed


@torch.no_grad()
def hear_rooms(clips: list[FaceClip], encoder: AudioEncoder, seed: int) -> list[Tensor]:
    """What the encoder says of NUM_ROOMS rooms: (T, L, D) each, at 50 per second.

    Encoders normalise over a track, so to every other room somebody of the clips has spoken before: of that nothing
    is left. One room in six is digital silence.
    """
    generator = np.random.default_rng([seed, NUM_ROOMS])
    device = next(cast(nn.Module, encoder).parameters()).device
    heard = []
    for number in range(NUM_ROOMS):
        room = record_room(generator) if number % 6 else np.zeros(ROOM_SECONDS * SAMPLE_RATE, np.float32)
        speech = clips[int(generator.integers(len(clips)))].pcm[: SPEECH_SECONDS * SAMPLE_RATE * (number % 2)]
        states = encoder.encode(torch.from_numpy(np.concatenate([speech, room])).to(device))
        heard.append(states[-HEARD_STATES:].cpu())
    return heard


def record_room(generator: np.random.Generator) -> NDArray[np.float32]:
    """Noise (N,) of some loudness and colour."""
    samples = ROOM_SECONDS * SAMPLE_RATE
    spectrum = np.fft.rfft(generator.standard_normal(samples))
    spectrum *= np.maximum(np.fft.rfftfreq(samples, 1 / SAMPLE_RATE), 50.0) ** -generator.uniform(0, MOST_SLOPE)
    noise = np.fft.irfft(spectrum, samples)
    level = 10 ** (generator.uniform(*LEVELS) / 20)
    return (noise * level / noise.std()).astype(np.float32)


def closed_frames(clip: FaceClip) -> NDArray[np.bool_]:
    """Say of every frame of a clip (F,) whether its lips are closed, or as nearly so as this person's ever are."""
    openings = mouth_opening(clip.mesh)
    return np.asarray(openings <= np.percentile(openings, CLOSED_PERCENTILE))
