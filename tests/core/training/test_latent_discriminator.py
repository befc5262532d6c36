"""The discriminator on latents."""

import torch

from latentsync_core.training.latent_discriminator import Adversary, LatentDiscriminator, balance


def some_latents(count: int = 8) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    real = torch.randn(count, 4, 6, 8, generator=generator)
    return real, torch.randn(count, 4, 6, 8, generator=generator), torch.randn(count, 2, 5, generator=generator)


def some_adversary() -> Adversary:
    torch.manual_seed(0)
    return Adversary(LatentDiscriminator(4, 5, width=16), learning_rate=5e-3)


def test_it_learns_to_tell_blurred_latents_from_real_ones():
    real, reference, audio = some_latents()
    adversary = some_adversary()
    blurred = 0.3 * real
    losses = [float(adversary.learn(real, blurred, reference, audio)) for _ in range(150)]
    assert losses[0] > 1.5
    assert losses[-1] < 0.8


def test_it_hears_whether_a_real_mouth_says_something_else():
    real, reference, audio = some_latents()
    adversary = some_adversary()
    for _ in range(150):
        adversary.learn(real, real, reference, audio)
    told = adversary.discriminator(real, reference, audio).mean()
    assert told > adversary.discriminator(real, reference, audio.roll(4, 0)).mean() + 0.1


def test_the_fooling_loss_reaches_the_latents_and_not_the_discriminator():
    real, reference, audio = some_latents()
    adversary = some_adversary()
    fake = real.clone().requires_grad_()
    adversary.fooling_loss(fake, reference, audio).backward()
    assert fake.grad is not None
    assert fake.grad.any()
    assert all(parameter.grad is None for parameter in adversary.discriminator.parameters())


def test_it_resumes_exactly():
    real, reference, audio = some_latents()
    adversary, other = some_adversary(), some_adversary()
    adversary.learn(real, -real, reference, audio)
    other.load_state_dict(adversary.state_dict())
    assert torch.equal(adversary.learn(real, -real, reference, audio), other.learn(real, -real, reference, audio))


def test_balance_makes_the_gradients_equally_large():
    prediction = torch.randn(3, 4, requires_grad=True)
    first, second = (prediction**2).mean(), 5 * prediction.sin().sum()
    factor = balance(first, second, prediction)
    (one,) = torch.autograd.grad(first, prediction, retain_graph=True)
    (two,) = torch.autograd.grad(factor * second, prediction)
    torch.testing.assert_close(one.norm(), two.norm())
