"""Audio windows: what each video frame hears (LatentSync, arXiv:2412.09262, 3.1).

The reference counts frames until the sound has run out and one more, so 2.0 s of speech give 52 windows at 25 fps.
Ours follow the frames: one window per frame, taken at the frame's own time, whatever the frame rate.
"""

from collections.abc import Sequence

import torch
from einops import rearrange
from torch import Tensor

FEATURES_PER_SECOND = 50  # one state every 20 ms
VIDEO_FPS = 25
FEATURES_PER_FRAME = FEATURES_PER_SECOND // VIDEO_FPS
#: States by which a time may fall short of a state's beginning and still mean it: 3/25 is below 0.12 in floats.
_ROUNDING = 1e-6


def cut_audio_windows(features: Tensor, frames: int | Sequence[float] | Tensor, context_frames: int = 2) -> Tensor:
    """Give every video frame the states heard around it.

    Past either end of the track the outermost state repeats, so there is exactly one window per frame.

    Args:
        features: hidden states of an audio encoder, (T, L, D): T at 50 per second, L layers of width D.
        frames: the time of each frame in seconds of the track, (F,); or F, for frames 0..F-1 at 25 fps.
        context_frames: frames of 1/25 s heard on each side.

    Returns:
        (F, S, D) cross-attention tokens, S = (2 * context_frames + 1) * 2 * L; (F, 50, 384) for Whisper tiny.

    Raises:
        ValueError: if features is not a non-empty (T, L, D) track.
    """
    if features.ndim != 3 or features.shape[0] == 0:
        raise ValueError(f"need a non-empty (T, L, D) track, got shape {tuple(features.shape)}")
    rows = window_rows(features.shape[0], frames, context_frames).to(features.device)
    return rearrange(features[rows], "f rows l d -> f (rows l) d")  # (F, S, D)


def window_rows(num_features: int, frames: int | Sequence[float] | Tensor, context_frames: int = 2) -> Tensor:
    """Say which states each frame hears: (F, (2 * context_frames + 1) * 2) indices into 0..num_features-1."""
    if isinstance(frames, int):
        centres = torch.arange(frames) * FEATURES_PER_FRAME
    else:
        times = torch.as_tensor(frames, dtype=torch.float64, device="cpu")
        centres = torch.floor(times * FEATURES_PER_SECOND + _ROUNDING).long()
    reach = FEATURES_PER_FRAME * context_frames
    around = torch.arange(-reach, reach + FEATURES_PER_FRAME)
    return (centres[:, None] + around[None, :]).clamp(0, num_features - 1)
