"""The SyncNet loss against its definition, number by number."""

import math

import cv2
import numpy as np
import pytest
import torch
from einops import rearrange

from latentsync_core.models.syncnet import StableSyncNet
from latentsync_core.training.losses.sync_loss import (
    CONTRAST_TEMPERATURE,
    compare_all,
    cosine_loss,
    sync_accuracy,
    sync_loss,
)
from latentsync_core.training.syncnet_model import stable_syncnet_config

SMALL = {
    name: {"block_out_channels": [8, 8, 8, 8, 8, 16, 16], "norm_num_groups": 4}
    for name in ("visual_encoder", "audio_encoder")
}


def some_embeddings() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    vision, audio = torch.rand(2, 6, 10, generator=generator)
    return vision, audio, torch.tensor([1.0, 0.0, 1.0, 0.0, 1.0, 0.0])


def test_the_loss_is_the_cross_entropy_of_the_cosine():
    vision, audio, labels = some_embeddings()
    by_hand = []
    for v, a, label in zip(vision.tolist(), audio.tolist(), labels.tolist(), strict=True):
        cosine = sum(x * y for x, y in zip(v, a, strict=True))
        cosine /= math.sqrt(sum(x * x for x in v)) * math.sqrt(sum(y * y for y in a))
        by_hand.append(-math.log(cosine if label else 1 - cosine))
    assert float(cosine_loss(vision, audio, labels)) == pytest.approx(sum(by_hand) / 6, rel=1e-5)


def test_a_network_that_says_one_half_to_everything_has_the_loss_of_chance():
    vision = torch.tensor([[1.0, 0.0]]).repeat(4, 1)
    audio = torch.tensor([[0.5, math.sqrt(0.75)]]).repeat(4, 1)
    assert float(cosine_loss(vision, audio, torch.tensor([1.0, 0, 1, 0]))) == pytest.approx(math.log(2), rel=1e-6)


def test_equal_embeddings_may_round_above_one():
    vision = torch.rand(1000, 7, generator=torch.Generator().manual_seed(1))
    assert float(cosine_loss(vision, vision, torch.ones(1000))) == pytest.approx(0.0, abs=1e-6)
    assert float(cosine_loss(vision, vision, torch.zeros(1000))) <= 100


def test_accuracy_counts_both_kinds_of_error():
    vision = torch.tensor([[1.0, 0.0]]).repeat(4, 1)
    near, far = [0.9, 0.1], [0.1, 0.9]
    assert float(sync_accuracy(vision, torch.tensor([near, far, near, far]), torch.tensor([1.0, 0, 0, 1]))) == 0.5
    assert float(sync_accuracy(vision, torch.tensor([near, far, near, far]), torch.tensor([1.0, 0, 1, 0]))) == 1.0


def test_all_comparisons_of_a_clip_are_judged_as_pairs_are():
    vision, audio = torch.rand(2, 6, 10, generator=torch.Generator().manual_seed(3))
    judged = compare_all(vision, audio, per_clip=3)
    positives, negatives, right, contrast = [], [], [], []
    for first in (0, 3):
        sounds = audio[first : first + 3]
        cosines = [[float(torch.cosine_similarity(v, a, 0)) for a in sounds] for v in vision[first : first + 3]]
        for i in range(3):
            for j in range(3):
                (positives if i == j else negatives).append(-math.log(cosines[i][j] if i == j else 1 - cosines[i][j]))
                right.append(((cosines[i][j] > 0.5) == (i == j)) * (1 / 12 if i == j else 1 / 24))
            for others in (cosines[i], [row[i] for row in cosines]):
                powers = [math.exp(cosine / CONTRAST_TEMPERATURE) for cosine in others]
                contrast.append(-math.log(powers[i] / sum(powers)))
    assert float(judged["total"]) == pytest.approx((np.mean(positives) + np.mean(negatives)) / 2, rel=1e-5)
    assert float(judged["accuracy"]) == pytest.approx(sum(right), rel=1e-5)
    assert float(judged["contrast"]) == pytest.approx(np.mean(contrast), rel=1e-5)


def test_saying_one_half_to_all_comparisons_is_chance_too():
    vision = torch.tensor([[1.0, 0.0]]).repeat(8, 1)
    audio = torch.tensor([[0.5, math.sqrt(0.75)]]).repeat(8, 1)
    judged = compare_all(vision, audio, per_clip=4)
    assert float(judged["total"]) == pytest.approx(math.log(2), rel=1e-6)
    assert float(judged["contrast"]) == pytest.approx(math.log(4), rel=1e-6)


@pytest.fixture(scope="module")
def syncnet() -> StableSyncNet:
    torch.manual_seed(0)
    return StableSyncNet(stable_syncnet_config(SMALL, 4, (3, 16, 32))).eval().requires_grad_(False)


def test_syncnet_sees_the_lower_halves_frame_by_frame(syncnet):
    generator = torch.Generator().manual_seed(2)
    frames = torch.rand(2, 3, 4, 32, 32, generator=generator) * 2 - 1
    mel = torch.randn(2, 1, 80, 13, generator=generator)
    losses = []
    for video, sound in zip(frames, mel, strict=True):
        channels = [video[colour, frame, 16:] for frame in range(4) for colour in range(3)]
        vision, audio = syncnet(torch.stack(channels)[None], sound[None])
        losses.append(-math.log(float((vision * audio).sum())))
    assert float(sync_loss(syncnet, frames, mel, 32)) == pytest.approx(sum(losses) / 2, rel=1e-4)


def test_the_gradient_reaches_the_lower_half_of_every_frame_and_nothing_else(syncnet):
    frames = torch.rand(2, 3, 4, 32, 32, generator=torch.Generator().manual_seed(3), requires_grad=True)
    mel = torch.randn(2, 1, 80, 13, generator=torch.Generator().manual_seed(4))
    sync_loss(syncnet, frames, mel, 32).backward()
    assert not frames.grad[..., :16, :].any()
    assert frames.grad[..., 16:, :].abs().amax((1, 3, 4)).min() > 0
    assert all(parameter.grad is None for parameter in syncnet.parameters())


def test_larger_faces_are_brought_to_the_size_that_training_saw(syncnet):
    generator = torch.Generator().manual_seed(5)
    pictures = (torch.rand(4, 64, 64, 3, generator=generator) * 255).round().numpy()
    small = np.stack([cv2.resize(picture, (32, 32), interpolation=cv2.INTER_AREA) for picture in pictures])
    mel = torch.randn(1, 1, 80, 13, generator=generator)
    large, small = (rearrange(torch.from_numpy(each) / 127.5 - 1, "f h w c -> 1 c f h w") for each in (pictures, small))
    assert torch.allclose(sync_loss(syncnet, large, mel, 32), sync_loss(syncnet, small, mel, 32), rtol=1e-4)
