"""The audio encoder's training: targets, prediction per frame, restored spread."""

import pytest
import torch

from latentsync_core.audio.mel_audio_encoder import MelAudioEncoder
from latentsync_core.training.speech_windows import SpeechClip
from latentsync_core.training.train_audio_encoder import (
    correlation,
    predict_per_frame,
    restore_spread,
)


def test_correlation_is_pearsons():
    prediction, target = torch.randn(2, 3, 50, 4, generator=torch.Generator().manual_seed(0))
    by_hand = torch.corrcoef(torch.stack([prediction[1, :, 2], target[1, :, 2]]))[0, 1]
    assert float(correlation(prediction, target)[1, 2]) == pytest.approx(float(by_hand), abs=1e-3)


def test_predictions_that_follow_the_lips_get_the_lips_spread():
    torch.manual_seed(0)
    model = MelAudioEncoder(channels=8, num_shape_components=2).eval()
    clips = []
    for _ in range(3):
        log_mel = torch.randn(80, 160)
        with torch.no_grad():
            told = predict_per_frame(model, log_mel[None])[0]
        lips = torch.stack([1.5 * told[:, 0], torch.randn(40)], dim=1)  # one component is told, the other is not
        clips.append(SpeechClip(log_mel, lips))
    before = model.head.weight.clone()
    restore_spread(model, clips)
    assert torch.allclose(model.head.weight[0], 1.5 * before[0], rtol=1e-4)
    assert torch.equal(model.head.weight[1], before[1])
