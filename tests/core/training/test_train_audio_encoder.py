"""The audio encoder's training: its start, targets, prediction per frame, restored spread."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from latentsync_core.audio.mel_audio_encoder import MelAudioEncoder
from latentsync_core.audio.speech_embedding import SpeechEmbedding
from latentsync_core.errors import BadCheckpoint
from latentsync_core.training.speech_windows import SpeechClip
from latentsync_core.training.train_audio_encoder import (
    AudioRecipe,
    begin_encoder,
    correlation,
    learning_rates,
    predict_per_frame,
    restore_spread,
)


def test_correlation_is_pearsons():
    prediction, target = torch.randn(2, 3, 50, 4, generator=torch.Generator().manual_seed(0))
    by_hand = torch.corrcoef(torch.stack([prediction[1, :, 2], target[1, :, 2]]))[0, 1]
    assert float(correlation(prediction, target)[1, 2]) == pytest.approx(float(by_hand), abs=1e-3)


def test_predictions_that_follow_the_lips_get_nearly_the_lips_spread():
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
    restore_spread(model, clips, 0.9)
    assert torch.allclose(model.head.weight[0], 0.9 * 1.5 * before[0], rtol=1e-4)
    assert torch.equal(model.head.weight[1], before[1])


def recipe_that_goes_on(folder: Path) -> tuple[MelAudioEncoder, SpeechEmbedding, AudioRecipe]:
    torch.manual_seed(0)
    before, knows_speech = MelAudioEncoder(channels=16, num_shape_components=3), SpeechEmbedding()
    save_file(before.state_dict(), folder / "before.safetensors")
    save_file(knows_speech.state_dict(), folder / "speech.safetensors")
    recipe = AudioRecipe(
        data_dir=folder,
        run_dir=folder,
        init_from=str(folder / "before.safetensors"),
        speech_embedding=str(folder / "speech.safetensors"),
        channels=16,
        num_shape_components=3,
    )
    return before.eval(), knows_speech, recipe


def test_an_encoder_that_hears_more_begins_where_the_one_before_ended(tmp_path: Path):
    before, knows_speech, recipe = recipe_that_goes_on(tmp_path)
    model = begin_encoder(recipe).eval()
    assert model.heard is not None
    torch.testing.assert_close(model.heard.network.stages[3].state_dict(), knows_speech.stages[3].state_dict())
    log_mel = torch.randn(1, 80, 100)
    assert torch.equal(model(log_mel), before(log_mel))
    torch.nn.init.ones_(model.heard.out.weight)
    assert not torch.allclose(model(log_mel), before(log_mel))


def test_what_knows_speech_learns_slower(tmp_path: Path):
    *_, recipe = recipe_that_goes_on(tmp_path)
    model = begin_encoder(recipe)
    others, known = learning_rates(model, recipe)
    assert known["lr"] == pytest.approx(0.2 * others["lr"])
    assert len(known["params"]) + len(others["params"]) == len(list(model.parameters()))


def test_weights_of_another_network_are_refused(tmp_path: Path):
    *_, recipe = recipe_that_goes_on(tmp_path)
    save_file({"first.weight": torch.zeros(3)}, tmp_path / "speech.safetensors")
    with pytest.raises(BadCheckpoint, match="SpeechEmbedding"):
        begin_encoder(recipe)


def test_a_saved_encoder_reads_back_whole(tmp_path: Path):
    *_, recipe = recipe_that_goes_on(tmp_path)
    model = begin_encoder(recipe).eval()
    torch.nn.init.normal_(model.heard.out.weight)
    model.save_pretrained(tmp_path / "audio_encoder")
    read = MelAudioEncoder.from_pretrained(tmp_path / "audio_encoder").eval()
    log_mel = torch.randn(1, 80, 100)
    assert torch.equal(read(log_mel), model(log_mel))
