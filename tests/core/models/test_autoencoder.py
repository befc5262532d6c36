"""The small autoencoder, behind the interface of diffusers' AutoencoderKL."""

import torch

from latentsync_core.models.autoencoder import SpaceToDepthAutoencoder


def test_latents_are_a_sixteenth_and_sampling_is_deterministic():
    vae = SpaceToDepthAutoencoder(latent_channels=4, widths=(16, 16, 8), blocks=(1, 1, 1))
    distribution = vae.encode(torch.rand(2, 3, 64, 96)).latent_dist
    assert distribution.mode().shape == (2, 4, 4, 6)
    assert torch.equal(distribution.sample(torch.Generator()), distribution.mode())
    assert vae.decode(distribution.mode()).sample.shape == (2, 3, 64, 96)


def test_it_is_saved_and_read_like_a_diffusers_model(tmp_path):
    vae = SpaceToDepthAutoencoder(latent_channels=4, widths=(16, 16, 8), blocks=(1, 1, 1), scaling_factor=0.5)
    vae.save_pretrained(tmp_path)
    again = SpaceToDepthAutoencoder.from_pretrained(tmp_path)
    pictures = torch.rand(1, 3, 32, 32)
    assert again.config.scaling_factor == 0.5
    assert torch.equal(again.encode(pictures).latent_dist.mode(), vae.encode(pictures).latent_dist.mode())
