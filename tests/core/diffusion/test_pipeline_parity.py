"""A whole run with stand-ins for the networks, against the recording of the reference: windows, latents, frames.

The stand-ins are those of `parity/README.md` ("Pipeline"); cropping and pasting are the reference's, in the oracle
of `tests/core/face`, because ours differ on purpose.
"""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from einops import rearrange, reduce, repeat
from torch import Tensor
from torch.nn import functional

from latentsync_core.audio.audio_windows import cut_audio_windows
from latentsync_core.bundle import official_scheduler
from latentsync_core.diffusion.denoise import denoise
from latentsync_core.diffusion.latents import mask_at_latents
from latentsync_core.diffusion.noise import shared_noise
from latentsync_core.diffusion.unet_input import unet_input
from latentsync_core.face.alignment import TEMPLATE, fit_similarity
from tests.core.face.reference_alignment import Array, SmoothedFit, crop_canvas, paste_canvas
from tests.parity.golden import arrays, facts, seeded

GOLDEN = arrays("pipeline/pipeline")
RUN = facts("pipeline/pipeline")["end_to_end"]
RESOLUTION = RUN["resolution"]
SCALE = RESOLUTION / 256
CANVAS = (int(75 * 2.8 * SCALE), int(100 * 2.8 * SCALE))  # width, height
SD_SCALING = 0.18215


def encode(pixels: Tensor) -> Tensor:
    """(F, 3, R, R) -> latents (1, 4, F, R/8, R/8): means of 8x8 pixels, and the mean of the three."""
    means = reduce(pixels, "f c (h y) (w x) -> f c h w", "mean", y=8, x=8)
    latents = torch.cat([means, means.mean(dim=1, keepdim=True)], dim=1) * SD_SCALING
    return rearrange(latents, "f c h w -> 1 c f h w")


def decode(latents: Tensor) -> Tensor:
    """(1, 4, F, h, w) -> (F, 3, R, R)."""
    z = rearrange(latents, "1 c f h w -> f c h w") / SD_SCALING
    return repeat(0.02 * (z[:, :3] + 0.25 * z[:, 3:]), "f c h w -> f c (h y) (w x)", y=8, x=8)


def unet(sample: Tensor, timestep: Tensor, audio: Tensor) -> Tensor:
    heard = reduce(audio, "b f s d -> b 1 f 1 1", "mean")
    seen = sample[:, :4] + 0.5 * sample[:, 4:5] + 0.25 * sample[:, 5:9] - 0.3 * sample[:, 9:13]
    return torch.tanh(seen + 2 * heard + timestep / 1000)


@dataclass(frozen=True)
class Run:
    """The inputs of the recorded run, prepared by our functions and the oracle's crop."""

    matrices: list[Array]
    order: list[int]
    pixels: Tensor
    mask: Tensor
    masked: Tensor
    reference: Tensor
    windows: Tensor

    def denoise_window(self, frames: slice) -> Tensor:
        return denoise(
            unet,
            official_scheduler(),
            noise=shared_noise(4, RESOLUTION // 8, RESOLUTION // 8, RUN["seed"]),
            mask=mask_at_latents(self.mask, 8),
            masked=self.masked[:, :, frames],
            reference=self.reference[:, :, frames],
            audio=self.windows[frames],
            steps=RUN["steps"],
            guidance=RUN["guidance"],
        )


@pytest.fixture(scope="module")
def run() -> Run:
    import cv2

    smoothed = SmoothedFit(TEMPLATE * SCALE)
    matrices, crops = [], []
    for frame, landmarks in zip(GOLDEN["video"], GOLDEN["landmarks3"], strict=True):
        points = np.round(landmarks.astype(np.float64))
        matrices.append(smoothed.fit(points, fit_similarity(points, TEMPLATE * SCALE)))
        canvas = crop_canvas(frame, matrices[-1], *CANVAS)
        crops.append(cv2.resize(canvas, (RESOLUTION, RESOLUTION), interpolation=cv2.INTER_LANCZOS4))
    there_and_back = [*range(len(crops)), *reversed(range(len(crops)))]
    order = [there_and_back[index % len(there_and_back)] for index in range(RUN["chunks"])]
    pixels = torch.from_numpy(np.stack([crops[index] for index in order])).permute(0, 3, 1, 2).float() / 127.5 - 1
    mask = torch.from_numpy(GOLDEN["keep_mask"]).float()[None, None]
    features = seeded("pipeline.features", (RUN["features"], 5, 8))
    return Run(
        matrices=matrices,
        order=order,
        pixels=pixels,
        mask=mask,
        masked=encode(pixels * mask),
        reference=encode(pixels),
        windows=cut_audio_windows(features, RUN["chunks"]),
    )


def test_the_first_input_of_the_unet_is_the_references(run: Run):
    noise = shared_noise(4, RESOLUTION // 8, RESOLUTION // 8, RUN["seed"]).expand(1, 4, 3, -1, -1)
    found = unet_input(noise, mask_at_latents(run.mask, 8), run.masked[:, :, :3], run.reference[:, :, :3])
    expected = torch.from_numpy(GOLDEN["first_unet_input"])
    torch.testing.assert_close(found, expected[:1], rtol=0, atol=1e-5)
    torch.testing.assert_close(found, expected[1:], rtol=0, atol=1e-5)  # both halves share it


def test_the_first_windows_audio_is_the_references(run: Run):
    tokens = torch.from_numpy(GOLDEN["first_unet_audio_frame0"])  # the first token of every frame: silence, audio
    assert not tokens[:16].any()
    torch.testing.assert_close(run.windows[:16, 0], tokens[16:], rtol=0, atol=0)


def test_the_latents_of_the_first_window_are_the_references(run: Run):
    found = run.denoise_window(slice(0, 16)) / SD_SCALING  # recorded on their way into the decoder
    expected = torch.from_numpy(GOLDEN["final_latents_first_window"])
    # of values up to 47; single levels of a crop flip between float32 and float64 positions
    torch.testing.assert_close(rearrange(found, "1 c f h w -> f c h w"), expected, rtol=0, atol=1e-3)


def test_the_whole_video_is_the_references(run: Run):
    windows = [slice(first, first + RUN["num_frames"]) for first in range(0, RUN["chunks"], RUN["num_frames"])]
    decoded = torch.cat([decode(run.denoise_window(window)) for window in windows])
    faces = decoded * (1 - run.mask) + run.pixels * run.mask
    width, height = CANVAS
    canvases = functional.interpolate(faces, (height, width), mode="bicubic", antialias=True)
    found = []
    for index, canvas in zip(run.order, canvases, strict=True):
        stages = paste_canvas(GOLDEN["video"][index], canvas.permute(1, 2, 0).double().numpy(), run.matrices[index])
        found.append(stages["restored"].astype(np.uint8).astype(int))
    difference = np.abs(np.stack(found) - GOLDEN["output"].astype(int))
    assert difference.max() <= 1
    assert (difference > 0).mean() <= 0.01
