"""Sound: spectra, audio encoders, and the window of sound that each video frame hears."""
