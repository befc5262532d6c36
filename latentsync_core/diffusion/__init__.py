"""Latent diffusion as pure functions on tensors: noise, U-Net input, guidance, the denoising loop, the way back."""
