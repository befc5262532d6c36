"""Whisper's states against the recording of the reference, from both layouts of weights files."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from latentsync_core.audio.audio_windows import cut_audio_windows
from latentsync_core.audio.whisper_encoder import WhisperAudioEncoder, WhisperEncoderConfig, encoder_weights
from latentsync_core.errors import BadCheckpoint
from tests.parity.golden import arrays, facts, largest_error, seeded_sound
from tests.parity.seeded_weights import seeded_state_dict

RECORDED = facts("audio/audio")["whisper"]["features"]
ALLOWED = 5e-5


@pytest.fixture(scope="module")
def openai_weights() -> dict[str, Tensor]:
    """A whole Whisper tiny under OpenAI's names; the large table of words stays empty, nobody reads it."""
    shapes = facts("audio/whisper_manifest")
    encoder = {key: shape for key, shape in shapes.items() if key.startswith("encoder.")}
    weights = {key: torch.from_numpy(value) for key, value in seeded_state_dict(encoder).items()}
    fresh = WhisperAudioEncoder(WhisperEncoderConfig())
    weights["encoder.positional_embedding"] = fresh.encoder.embed_positions.weight.detach()
    decoder = {key: torch.zeros(1).expand(shape) for key, shape in shapes.items() if key.startswith("decoder.")}
    return {**weights, **decoder}


@pytest.fixture(scope="module")
def encoder(openai_weights: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> WhisperAudioEncoder:
    path = tmp_path_factory.mktemp("whisper") / "tiny.pt"
    dims = facts("audio/audio")["whisper"]["dims"]
    torch.save({"dims": dims, "model_state_dict": openai_weights}, path)
    return WhisperAudioEncoder.from_file(path)


def test_the_position_table_is_the_references():
    table = WhisperAudioEncoder(WhisperEncoderConfig()).encoder.embed_positions.weight.detach()
    expected = arrays("audio/whisper_features")["positional_embedding_rows_0_1_700_last"]
    assert largest_error(table[[0, 1, 700, 1499]], expected) < 2e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("signal", ["synthetic_3s", "synthetic_odd"])
def test_features_and_windows_are_the_references(encoder: WhisperAudioEncoder, signal: str, dtype: torch.dtype):
    recorded = RECORDED[signal]
    features = encoder.to(dtype).encode(seeded_sound(signal).to(dtype))
    encoder.float()
    assert list(features.shape) == recorded["shape"]
    golden = arrays("audio/whisper_features")
    assert largest_error(features[recorded["stored_rows"]], golden[f"feat.{signal}"]) < ALLOWED
    windows = cut_audio_windows(features, recorded["chunks"])
    assert largest_error(windows[recorded["stored_chunks"]], golden[f"chunks.{signal}"]) < ALLOWED


def test_windows_of_thirty_seconds_know_nothing_of_each_other(encoder: WhisperAudioEncoder):
    recorded = RECORDED["synthetic_31s"]
    features = encoder.encode(seeded_sound("synthetic_31s"))
    assert list(features.shape) == recorded["shape"]
    expected = arrays("audio/whisper_features")["feat.synthetic_31s"]
    assert largest_error(features[recorded["stored_rows"]], expected) < ALLOWED  # rows 1498..1501 among them


def test_the_final_norm_is_left_out(encoder: WhisperAudioEncoder):
    log_mel = torch.randn(1, 80, 3000, generator=torch.Generator().manual_seed(0)) / 2
    with torch.no_grad():
        ours = encoder(log_mel)
        theirs = encoder.encoder(log_mel).last_hidden_state
        torch.testing.assert_close(encoder.encoder.layer_norm(ours[:, :, -1]), theirs)
        assert not torch.allclose(ours[:, :, -1], theirs, atol=0.1)


def test_hugging_faces_files_load_too(encoder: WhisperAudioEncoder, tmp_path: Path):
    weights = {f"model.encoder.{key}": value for key, value in encoder.encoder.state_dict().items()}
    weights["model.decoder.embed_tokens.weight"] = torch.zeros(4, 4)
    weights["proj_out.weight"] = torch.zeros(4, 4)
    save_file(weights, tmp_path / "model.safetensors")
    loaded = WhisperAudioEncoder.from_file(tmp_path / "model.safetensors")
    assert loaded.config == encoder.config
    torch.testing.assert_close(loaded.encoder.conv1.weight, encoder.encoder.conv1.weight)


def test_other_sizes_are_read_off_the_weights(tmp_path: Path):
    small = WhisperEncoderConfig(n_audio_ctx=20, n_audio_state=128, n_audio_head=2, n_audio_layer=2)
    weights = {f"encoder.{key}": value for key, value in WhisperAudioEncoder(small).encoder.state_dict().items()}
    save_file(weights, tmp_path / "small.safetensors")
    loaded = WhisperAudioEncoder.from_file(tmp_path / "small.safetensors")
    assert loaded.config == small
    assert loaded.encode(torch.zeros(16000)).shape == (50, 3, 128)  # five windows of 0.4 s


def test_missing_and_unexpected_keys_are_named(openai_weights: dict[str, Tensor], tmp_path: Path):
    wrong = {key: value for key, value in openai_weights.items() if key != "encoder.blocks.2.attn.out.bias"}
    torch.save({"model_state_dict": {**wrong, "encoder.surplus": torch.zeros(1)}}, tmp_path / "wrong.pt")
    with pytest.raises(BadCheckpoint, match=r"missing: layers\.2\.self_attn\.out_proj\.bias.*unexpected: surplus"):
        WhisperAudioEncoder.from_file(tmp_path / "wrong.pt")


def test_every_official_key_finds_its_place(openai_weights: dict[str, Tensor]):
    fresh = WhisperAudioEncoder(WhisperEncoderConfig()).encoder.state_dict()
    assert set(encoder_weights(openai_weights)) == set(fresh)
