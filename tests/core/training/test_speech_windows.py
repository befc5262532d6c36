"""Windows of speech for the audio encoder: pace, noise and silence."""

import numpy as np
import pytest
import torch

from latentsync_core.training.speech_windows import (
    SpeechClip,
    SpeechSampler,
    closed_lips,
    mix_log_mel,
    put_silence,
    stretch_window,
)


def ramp_clip(frames=100):
    """Every frame's shape is its number, every column's value the number of the frame it lies in, as a fraction."""
    shape = torch.arange(frames).float()[:, None].repeat(1, 2)
    columns = (torch.arange(4 * frames) - 1.5) / 4
    return SpeechClip(columns[None].repeat(80, 1), shape)


@pytest.mark.parametrize("pace", [0.8, 1.0, 1.2])
def test_sound_and_lips_keep_together_at_another_pace(pace):
    log_mel, shape = stretch_window(ramp_clip(), 20.3, pace, 48)
    assert log_mel.shape == (80, 192)
    assert shape.shape == (48, 2)
    per_frame = log_mel[0].view(48, 4).mean(1)
    assert torch.allclose(per_frame, shape[:, 0], atol=1e-3)
    assert torch.allclose(shape.diff(dim=0), torch.tensor(pace), atol=1e-3)


def test_at_its_own_pace_a_window_is_the_recording():
    clip = ramp_clip()
    log_mel, shape = stretch_window(clip, 10, 1.0, 48)
    assert torch.equal(log_mel, clip.log_mel[:, 40:232])
    assert torch.equal(shape, clip.lip_shape[10:58])


def test_powers_add_up():
    window, other = torch.zeros(80, 8), torch.full((80, 20), 3.0)
    loud = mix_log_mel(window, other, np.random.default_rng(0))
    assert (loud > 1.5).all()  # the other is louder in spite of its damping
    soft = mix_log_mel(window, other - 6, np.random.default_rng(0))
    assert (soft >= 0).all()
    assert soft.max() < 1e-6


def test_the_mouth_closes_where_silence_is_put_and_nowhere_else():
    closed = torch.tensor([-1.0, 0.5])
    covered = 0
    for seed in range(30):
        shape, log_mel = torch.ones(48, 2), torch.full((80, 192), 2.0)
        silenced, lips = put_silence(log_mel, shape, closed, np.random.default_rng(seed))
        is_silent = (silenced != 2.0).all(0).view(48, 4).all(1)
        assert is_silent.sum() >= 12
        assert torch.equal(lips[~is_silent], shape[~is_silent])
        inner = is_silent.clone()
        inner[1:] &= is_silent[:-1]
        inner[:-1] &= is_silent[1:]
        assert (lips[is_silent, 0] < 1).all()
        if is_silent.all():
            covered += 1
        else:
            assert (lips[inner, 0] <= lips[is_silent, 0].max()).all()
        assert torch.isclose(lips.amin(0)[0], closed[0])
    assert covered


def test_a_silence_is_softer_than_the_speech_around_it_and_its_low_bands_are_the_loudest():
    for seed in range(30):
        log_mel = torch.full((80, 192), 0.2)
        silenced, _ = put_silence(log_mel, torch.ones(48, 1), torch.zeros(1), np.random.default_rng(seed))
        stretch = silenced[:, (silenced != 0.2).all(0)]
        assert stretch.mean() < 0.2 - 0.5 + 0.05
        assert stretch[:20].mean() > stretch[-20:].mean() - 0.02


def test_closed_lips_are_those_of_the_least_open_frames():
    shape = torch.stack([torch.arange(100.0), -torch.arange(100.0)], dim=1)
    clips = [SpeechClip(torch.zeros(80, 400), shape)]
    assert closed_lips(clips, 1.0).tolist() == [1.5, -1.5]
    assert closed_lips(clips, 3.0).tolist() == [4.5, -4.5]


def test_windows_depend_on_nothing_but_the_seed():
    clips = [ramp_clip(60), ramp_clip(30)]

    def first(seed):
        return SpeechSampler(clips, np.array([0.5, 0.5]), 24, 0.5, 1.0, seed).batch(6)

    assert first(1)[0].shape == (6, 80, 96)
    assert first(1)[1].shape == (6, 24, 2)
    assert torch.equal(first(1)[0], first(1)[0])
    assert not torch.equal(first(1)[0], first(2)[0])
