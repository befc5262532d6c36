"""Both log-mels against the recording of the reference, and against independent libraries."""

import librosa
import numpy as np
import pytest
import torch
from transformers import WhisperFeatureExtractor

from latentsync_core.audio.log_mel import MIN_SAMPLES, whisper_log_mel
from latentsync_core.audio.mel import cut_mel_window, mel_window_length, syncnet_mel
from latentsync_core.audio.spectrum import mel_filters
from tests.parity.golden import arrays, facts, largest_error, seeded_sound

SIGNALS = ("synthetic_3s", "synthetic_odd")
WINDOWS = facts("audio/audio")["mel_crop"]["windows"]


@pytest.mark.parametrize("signal", SIGNALS)
def test_the_syncnet_mel_is_the_references(signal: str):
    assert largest_error(syncnet_mel(seeded_sound(signal)), arrays("audio/spectra")[f"mel.{signal}"]) < 1e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("signal", SIGNALS)
def test_the_whisper_log_mel_is_the_references(signal: str, dtype: torch.dtype):
    found = whisper_log_mel(seeded_sound(signal).to(dtype))
    assert found.dtype == dtype
    assert largest_error(found, arrays("audio/spectra")[f"logmel.{signal}"]) < 2e-4


@pytest.mark.parametrize("signal", ["synthetic_3s", "synthetic_odd", "synthetic_31s"])
def test_spectra_are_as_long_as_the_sound(signal: str):
    recorded = facts("audio/audio")
    sound = seeded_sound(signal)
    log_mel, mel = whisper_log_mel(sound), syncnet_mel(sound)
    assert list(mel.shape) == recorded["syncnet_mel"][signal]["mel"]["shape"]
    assert list(log_mel.shape) == recorded["whisper_logmel"][signal]["logmel"]["shape"]
    assert log_mel.mean().item() == pytest.approx(recorded["whisper_logmel"][signal]["logmel"]["mean"], abs=1e-5)
    assert mel.mean().item() == pytest.approx(recorded["syncnet_mel"][signal]["mel"]["mean"], abs=1e-5)


@pytest.mark.parametrize(("n_fft", "low", "high"), [(400, 0.0, 8000.0), (800, 55.0, 7600.0)])
def test_the_mel_filters_are_slaneys(n_fft: int, low: float, high: float):
    oracle = librosa.filters.mel(sr=16000, n_fft=n_fft, n_mels=80, fmin=low, fmax=high, dtype=np.float64)
    np.testing.assert_allclose(mel_filters(n_fft, low, high).numpy(), oracle, atol=1e-9)


def test_padding_before_the_normalisation_would_be_heard_differently():
    """Why transformers' own extractor cannot be used with the published checkpoints."""
    sound = seeded_sound("synthetic_3s")[:40_000]  # it ends aloud
    ours = whisper_log_mel(sound).numpy()
    extractor = WhisperFeatureExtractor()
    theirs = extractor(sound.numpy(), sampling_rate=16000, return_tensors="np")["input_features"][0]
    np.testing.assert_allclose(theirs[:, 5:240], ours[:, 5:240], atol=1e-3)  # the same away from the edges
    assert np.abs(theirs[:, :250] - ours).max() > 0.01  # the last frames hear the padding
    assert theirs[:, 400:].max() < -0.3  # and silence is not 0.0


def test_a_long_sound_gives_the_same_spectrum_in_blocks(monkeypatch: pytest.MonkeyPatch):
    sound = seeded_sound("synthetic_odd")
    whole = whisper_log_mel(sound), syncnet_mel(sound)
    monkeypatch.setattr("latentsync_core.audio.spectrum._COLUMNS_PER_BLOCK", 7)
    torch.testing.assert_close(whisper_log_mel(sound), whole[0])
    torch.testing.assert_close(syncnet_mel(sound), whole[1])


@pytest.mark.parametrize("shape", [(MIN_SAMPLES - 1,), (0,), (2, 16000)])
def test_what_is_no_track_has_no_log_mel(shape: tuple[int, ...]):
    with pytest.raises(ValueError, match="mono track"):
        whisper_log_mel(torch.zeros(shape))


def test_digital_silence_is_finite():
    assert whisper_log_mel(torch.zeros(16000)).isfinite().all()
    assert (syncnet_mel(torch.zeros(16000)) == -4).all()


@pytest.mark.parametrize("num_frames", [int(count) for count in WINDOWS])
def test_mel_windows_start_and_end_where_the_reference_cuts_them(num_frames: int):
    mel = torch.arange(1000).float().expand(80, -1)
    for first_frame, start, end in WINDOWS[str(num_frames)]["SyncNetDataset"]["start_first_end"]:
        window = cut_mel_window(mel, first_frame, num_frames)
        assert window is not None
        assert window[0].tolist() == list(range(start, end))
        assert window.shape[1] == mel_window_length(num_frames)


def test_a_mel_window_that_runs_over_the_end_is_none():
    mel = torch.zeros(80, 52)
    assert cut_mel_window(mel, 0, 16) is not None
    assert cut_mel_window(mel, 1, 16) is None
