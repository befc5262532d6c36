"""The network that knows much speech, heard every 20 ms."""

import librosa
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from latentsync_core.audio.log_mel import whisper_log_mel
from latentsync_core.audio.speech_embedding import (
    FRAMES_LOST,
    LOUDER,
    PIECE,
    WIDTH,
    SpeechEmbedding,
    activate,
)


@pytest.fixture
def network() -> SpeechEmbedding:
    torch.manual_seed(0)
    return SpeechEmbedding().eval()


def as_published(network: SpeechEmbedding, bands: Tensor) -> list[Tensor]:
    """The last three stages (C, T, S), with strides where the published network has them and nothing spread."""

    def two(layer: torch.nn.Module, x: Tensor) -> Tensor:
        for convolution in (layer.bands, layer.time):
            padding = convolution.padding if convolution is layer.bands else 0
            x = activate(F.conv2d(x, convolution.weight, convolution.bias, padding=padding))
        return x

    x = activate(F.relu(network.first(bands[None, None])) * network.first_scale + network.first_shift)
    x = F.max_pool2d(two(network.stages[0], x), (2, 2))
    stages = []
    for number, pool in ((1, (1, 2)), (2, (2, 2)), (3, (1, 2)), (4, (2, 2))):
        for layer in network.stages[number]:
            x = two(layer, x)
        stages.append(x[0])
        x = F.max_pool2d(x, pool)
    return stages[1:]


def test_every_other_instant_is_the_published_networks(network: SpeechEmbedding):
    log_mel = torch.randn(1, 80, 400, generator=torch.Generator().manual_seed(1)) / 4
    powers = network.from_mels @ 10 ** (4 * log_mel[0] - 4)
    with torch.no_grad():
        heard = network(log_mel)[0].split([72 * 8, 96 * 4, 96 * 2])
        wanted = as_published(network, powers.T.log10() + LOUDER)
    for here, there, first, stride in zip(heard, wanted, (5, 10, 14), (1, 2, 2), strict=True):
        channels, length, bands = there.shape
        inner = here.reshape(channels, bands, 200)[:, :, first : first + stride * length : stride]
        torch.testing.assert_close(inner, there.transpose(1, 2), atol=1e-5, rtol=1e-4)


def test_there_is_a_state_for_every_two_columns(network: SpeechEmbedding):
    assert network(torch.zeros(2, 80, 150)).shape == (2, WIDTH, 75)


def test_pieces_are_heard_as_the_whole(network: SpeechEmbedding, monkeypatch: pytest.MonkeyPatch):
    log_mel = torch.randn(1, 80, 2 * FRAMES_LOST + 130, generator=torch.Generator().manual_seed(2)) / 4
    with torch.no_grad():
        whole = network(log_mel)
        monkeypatch.setattr("latentsync_core.audio.speech_embedding.PIECE", 48)
        pieces = network(log_mel)
    assert log_mel.shape[-1] < PIECE
    torch.testing.assert_close(pieces, whole, atol=1e-5, rtol=1e-4)


def test_the_bands_are_those_the_network_was_made_for(network: SpeechEmbedding):
    """Against librosa's 32 mels of 16-bit samples in windows of 512: what openWakeWord feeds it."""
    pcm = np.random.default_rng(0).standard_normal(32000) * np.geomspace(0.3, 0.003, 32000)
    pcm = np.convolve(pcm, [0.5, 0.3, 0.2])[:32000].astype(np.float32)
    powers = librosa.feature.melspectrogram(
        y=pcm * 32768, sr=16000, n_fft=512, win_length=400, hop_length=160, n_mels=32, fmin=60, fmax=3800
    )
    log_mel = whisper_log_mel(torch.from_numpy(pcm)).numpy()
    bands = np.log10(network.from_mels.numpy() @ 10 ** (4 * log_mel - 4)) + LOUDER
    difference = bands - (np.log10(powers[:, :200]) + 2)
    assert np.abs(difference[:, 2:-2]).mean() < 0.05
