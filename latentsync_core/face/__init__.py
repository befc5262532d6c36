"""Faces: find, track, align, mask and paste back. No torch here; only the face-alignment backend loads it."""
