"""The small audio encoder."""

import torch

from latentsync_core.audio.mel_audio_encoder import MelAudioEncoder


def encoder() -> MelAudioEncoder:
    torch.manual_seed(0)
    return MelAudioEncoder(channels=16, num_shape_components=3).eval()


def test_two_seconds_give_a_hundred_states_of_one_layer():
    states = encoder().encode(torch.rand(32000) - 0.5)
    assert states.shape == (100, 1, 19)
    assert states.dtype == torch.float32


def test_a_state_hears_less_than_a_second_to_either_side():
    model = encoder()
    log_mel = torch.randn(1, 80, 400)
    changed = log_mel.clone()
    changed[..., 300:] += 5
    # the group norms see the whole track, so look at the convolutions alone
    for block in model.blocks:
        block.norm = torch.nn.Identity()
    before, after = model(log_mel), model(changed)
    assert torch.allclose(before[:, :100], after[:, :100], atol=1e-5)
    assert not torch.allclose(before[:, 150:], after[:, 150:])


def test_an_odd_number_of_mel_frames_loses_the_last():
    assert encoder().encode(torch.rand(16000 + 160)).shape[0] == 50
