"""What a U-Net is worth on held-out people: the same windows, noise and timesteps in every run, so runs compare.

    hole_error          squared error of the one-step estimate of the clean latents, within the mask's hole
    sync, lpips, trepa  the losses on decoded frames that the recipe trains with, of that estimate
    movement_error      of generated windows: how far the hole's change from frame to frame is from the real one's, in
                        grey levels
    judge_NAME          of generated windows: the loss of a SyncNet that teaches nothing; judge_NAME_real of real ones

Generated windows come from pure noise. The one-step estimate does not: at a low timestep the true mouth shows through
the noise, so what is said about its lips flatters a network that does not listen.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from diffusers import DDIMScheduler
from torch import Tensor, nn

from latentsync_core.diffusion.latents import Autoencoder, mask_at_latents, spatial_factor
from latentsync_core.training.decoded_losses import DecodedLoss, Estimate
from latentsync_core.training.held_out_clips import HeldOutClip, choose_windows, join_windows
from latentsync_core.training.reconstruction import hole_shares, predict_clean
from latentsync_core.training.sync_judges import SyncJudge
from latentsync_core.training.unet_generation import WindowGenerator
from latentsync_core.training.unet_recipe import UNetRecipe
from latentsync_core.training.unet_windows import Batch

HOLE_ERROR = "hole_error"
SEED = 0
FRAMES_AT_ONCE = 16  # whatever the recipe's batch size, so that results do not depend on it
GOLDEN_RATIO = 0.6180339887  # its multiples' fractions cover 0..1 evenly, however many there are
GREY_LEVELS = 127.5  # per unit of [-1, 1]


class UNetValidation:
    """Measures a U-Net; draws nothing from torch's own generator.

    Args:
        clips: of held-out people.
        mask: (1, 1, R, R), 1 = keep.
        decoded: losses on decoded frames by name, of `load_decoded_losses`.
        judges: by name.
        generator: of windows.
        check_stop: called between windows; what it raises ends the measurement.
    """

    def __init__(
        self,
        recipe: UNetRecipe,
        clips: list[HeldOutClip],
        vae: Autoencoder,
        mask: Tensor,
        device: torch.device,
        decoded: Mapping[str, DecodedLoss],
        judges: Mapping[str, SyncJudge],
        generator: WindowGenerator,
        check_stop: Callable[[], None],
    ) -> None:
        self._recipe, self._clips, self._vae, self._device = recipe, clips, vae, device
        self._decoded, self._judges, self._generator, self._check_stop = decoded, judges, generator, check_stop
        self._mask = mask.to(device)
        self._small_mask = mask_at_latents(self._mask, spatial_factor(vae))
        self._hole = hole_shares(self._mask, self._small_mask.shape[-1])
        self._scheduler = DDIMScheduler.from_config(recipe.scheduler)
        self._scheduler.alphas_cumprod = self._scheduler.alphas_cumprod.to(device)

    @torch.no_grad()
    def measure(self, unet: nn.Module) -> dict[str, float]:
        """All measures by name, means over the windows; leaves the network's mode as it was."""
        was_training = unet.training
        unet.eval()
        try:
            return {**_mean(self._of_estimates(unet)), **_mean(self._of_generated(unet))}
        finally:
            unet.train(was_training)

    def _of_estimates(self, unet: nn.Module) -> Iterator[tuple[int, dict[str, float]]]:
        length = self._recipe.window_frames
        windows = choose_windows(self._clips, length, self._recipe.validation.windows)
        size = max(1, FRAMES_AT_ONCE // length)
        for first in range(0, len(windows), size):
            self._check_stop()
            chosen = windows[first : first + size]
            batch = join_windows([clip.window(start, length, bool(self._decoded)) for clip, start in chosen])
            yield len(chosen), self._judge_estimate(unet, batch.to(self._device), first)

    def _judge_estimate(self, unet: nn.Module, batch: Batch, first: int) -> dict[str, float]:
        numbers = torch.arange(first, first + len(batch.target)) + 0.5
        shares = (numbers.double() * GOLDEN_RATIO) % 1
        timesteps = (shares * self._scheduler.config.num_train_timesteps).long().to(self._device)
        noise = torch.Generator().manual_seed(SEED + first)
        clean = predict_clean(unet, self._scheduler, batch, self._small_mask, timesteps, self._recipe, noise)
        error = ((clean - batch.target) ** 2).mean(dim=(0, 1, 2))  # (h, w)
        values = {HOLE_ERROR: ((error * self._hole).sum() / self._hole.sum()).item()}
        if self._decoded:
            assert batch.pictures is not None
            assert batch.mel is not None
            hears = torch.ones(len(clean), dtype=torch.bool, device=self._device)
            estimate = Estimate(clean, batch.pictures, batch.mel, hears, self._vae)
            values |= {name: loss(estimate).item() for name, loss in self._decoded.items()}
        return values

    def _of_generated(self, unet: nn.Module) -> Iterator[tuple[int, dict[str, float]]]:
        length = self._recipe.window_frames
        for clip, start in choose_windows(self._clips, length, self._recipe.validation.generated):
            window = clip.window(start, length, with_pictures=True)
            assert window.pictures is not None
            latents = self._generator.latents(unet, window)
            shown, real = self._generator.show(latents, window.pictures), window.pictures.to(self._device)
            values = {"movement_error": self._movement_error(shown, real)} if length > 1 else {}
            for name, judge in self._judges.items():
                values[f"judge_{name}"] = judge.loss(shown, latents, clip.mel, start)
                values[f"judge_{name}_real"] = judge.loss(real, window.target, clip.mel, start)
            yield 1, values

    def _movement_error(self, shown: Tensor, real: Tensor) -> float:
        hole = (1 - self._mask)[:, :, None].expand_as(real[:, :, 1:])
        error = (shown.diff(dim=2) - real.diff(dim=2)).abs() * hole
        return (GREY_LEVELS * error.sum() / hole.sum()).item()


def _mean(weighted: Iterator[tuple[int, dict[str, float]]]) -> dict[str, Any]:
    rows = list(weighted)
    total = sum(weight for weight, _ in rows)
    names = rows[0][1] if rows else {}
    return {name: sum(weight * values[name] for weight, values in rows) / total for name in names}
