"""TREPA: features of a frozen video encoder, from any VideoMAE folder."""

import json

import pytest
import torch
from torch.nn import functional
from transformers import VideoMAEConfig, VideoMAEForPreTraining, VideoMAEForVideoClassification

from latentsync_core.errors import BadCheckpoint
from latentsync_core.training.losses.trepa_loss import load_video_features, random_video_features, trepa_loss

SMALL = {
    "image_size": 32,
    "patch_size": 8,
    "num_frames": 4,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "decoder_hidden_size": 16,
    "decoder_num_attention_heads": 2,
    "decoder_num_hidden_layers": 1,
    "decoder_intermediate_size": 16,
    "initializer_range": 0.1,
}


pytestmark = pytest.mark.usefixtures("one_torch_thread")


def some_videos(frames: int = 4, side: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    predicted, target = torch.rand(2, 2, 3, frames, side, side, generator=torch.Generator().manual_seed(0)) * 2.4 - 1.2
    return predicted, target


@torch.no_grad()
def test_it_is_the_difference_of_the_classifiers_own_features(tmp_path):
    torch.manual_seed(0)
    whole = VideoMAEForVideoClassification(VideoMAEConfig(**SMALL, use_mean_pooling=True, num_labels=32)).eval()
    torch.nn.init.normal_(whole.fc_norm.weight)
    whole.save_pretrained(tmp_path)
    mean, std = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_mean": mean, "image_std": std}))
    whole.classifier.weight.copy_(torch.eye(32))  # then its logits are the features
    whole.classifier.bias.zero_()
    vectors = []
    for video in torch.cat(some_videos()):
        pictures = []
        for frame in range(4):
            picture = functional.interpolate(video[None, :, frame], size=(32, 32), mode="bilinear")[0]
            picture = ((picture + 1) / 2).clip(0, 1)
            pictures.append(torch.stack([(picture[c] - mean[c]) / std[c] for c in range(3)]))
        logits = whole(pixel_values=torch.stack(pictures)[None]).logits[0]
        vectors.append(logits / logits.norm())
    by_hand = [((vectors[i] - vectors[i + 2]) ** 2).sum() / 32 for i in range(2)]
    loss = trepa_loss(load_video_features(tmp_path), *some_videos())
    assert float(loss) == pytest.approx(float(sum(by_hand)) / 2, rel=1e-4)


@torch.no_grad()
def test_a_pretraining_checkpoint_does_too(tmp_path):
    torch.manual_seed(0)
    whole = VideoMAEForPreTraining(VideoMAEConfig(**SMALL, use_mean_pooling=False)).eval()
    whole.save_pretrained(tmp_path)
    video, _ = some_videos()
    pictures = functional.interpolate(video, size=(4, 32, 32), mode="trilinear") / 2 + 0.5
    expected = whole.videomae(pixel_values=pictures.clamp(0, 1).transpose(1, 2)).last_hidden_state.mean(1)
    assert torch.allclose(load_video_features(tmp_path)(video), expected, atol=1e-4)


def test_the_gradient_reaches_every_frame_of_the_prediction_only():
    features = random_video_features()
    predicted, target = some_videos(frames=16)
    predicted.requires_grad_(True)
    target.requires_grad_(True)
    trepa_loss(features, predicted, target).backward()
    assert predicted.grad.abs().amax((1, 3, 4)).min() > 0
    assert target.grad is None
    assert all(parameter.grad is None for parameter in features.encoder.parameters())


@torch.no_grad()
def test_the_stand_in_sees_the_order_of_frames():
    features, again = random_video_features(), random_video_features()
    ramp = torch.linspace(-1, 1, 16)[None, None, :, None, None].expand(1, 3, 16, 32, 32)
    target = ramp * torch.rand(1, 3, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    assert float(trepa_loss(features, target, target)) == 0
    backwards = trepa_loss(features, target.flip(2), target)
    assert float(backwards) > 1e-6
    assert torch.equal(trepa_loss(again, target.flip(2), target), backwards)


@torch.no_grad()
def test_mixed_precision_does_not_round_small_distances():
    features = random_video_features()
    predicted, target = some_videos(frames=16)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = trepa_loss(features, predicted, target)
    assert torch.equal(mixed, trepa_loss(features, predicted, target))


def test_another_number_of_frames_is_refused():
    features = random_video_features()
    with pytest.raises(ValueError, match="takes 16 frames, not 4"):
        trepa_loss(features, *some_videos(frames=4))


def test_a_folder_that_is_no_videomae_is_refused(tmp_path):
    with pytest.raises(BadCheckpoint, match="not a VideoMAE"):
        load_video_features(tmp_path)
