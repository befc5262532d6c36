"""Trainers of the autoencoder, the audio encoder and the U-Net; every run is a recipe."""
