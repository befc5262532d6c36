"""What SyncNet hears through a network that knows speech."""

import librosa
import numpy as np
import torch

from latentsync_core.audio.log_mel import whisper_log_mel
from latentsync_core.audio.mel import syncnet_mel
from latentsync_core.audio.speech_embedding import FRAMES_LOST, LOUDER
from latentsync_core.models.syncnet_speech import SpeechWindowEncoder
from tests.conftest import SAMPLE_AUDIO


def test_its_bands_are_nearly_those_of_the_sound_itself():
    """SyncNet's mel has other windows, another pace, magnitudes and a pre-emphasis: all that is undone."""
    pcm, _ = librosa.load(SAMPLE_AUDIO, sr=16000, duration=3)
    encoder = SpeechWindowEncoder(16, 4)
    powers = encoder.embedding.from_mels @ 10 ** (4 * whisper_log_mel(torch.from_numpy(pcm)) - 4)
    wanted = powers.log10().T + LOUDER
    bands = encoder.bands(syncnet_mel(torch.from_numpy(pcm))[None, None])[0, FRAMES_LOST:-FRAMES_LOST]
    length = min(len(bands), len(wanted))
    pairs = np.stack([bands[:length].flatten().numpy(), wanted[:length].flatten().numpy()])
    assert np.corrcoef(pairs)[0, 1] > 0.95
    assert abs(float(np.median(pairs[0] - pairs[1]))) < 0.15  # of powers of ten; their deviation is 1.5 to 2
