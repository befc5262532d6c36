"""When a U-Net in training is measured on held-out people, and what is left in the run's folder."""

import logging
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from latentsync_core.diffusion.latents import Autoencoder
from latentsync_core.errors import Cancelled
from latentsync_core.training.curves import Board, Curve
from latentsync_core.training.decoded_losses import DecodedLoss
from latentsync_core.training.held_out_clips import HeldOutClip
from latentsync_core.training.runs import VALIDATION
from latentsync_core.training.sync_judges import SyncJudge
from latentsync_core.training.trainer import Trainer
from latentsync_core.training.unet_generation import WindowGenerator
from latentsync_core.training.unet_recipe import UNetRecipe
from latentsync_core.training.unet_samples import SampleVideos
from latentsync_core.training.unet_validation import UNetValidation

log = logging.getLogger(__name__)


class HeldOutWatch:
    """Validates a run every so many steps and at its end; `validation.csv` and `samples/` are its files.

    A signal ends a validation early; the run that is resumed makes up for it.

    Args:
        network: gives the network to measure.
        measures: what is measured.
        samples: the videos.
        board: shows the measures, None = the file only.
    """

    def __init__(
        self,
        recipe: UNetRecipe,
        trainer: Trainer,
        network: Callable[[], nn.Module],
        measures: UNetValidation,
        samples: SampleVideos,
        board: Board | None = None,
    ) -> None:
        self._every, self._last = recipe.validation.steps, recipe.steps
        self._trainer, self._network, self._measures, self._samples = trainer, network, measures, samples
        self.curve = Curve(recipe.run_dir / VALIDATION, board)

    def after_step(self) -> None:
        """Validate, if this step asks for it."""
        if self._trainer.step > 0 and (self._trainer.step % self._every == 0 or self._trainer.step == self._last):
            self.validate()

    def resume(self) -> None:
        """Forget what is measured again, and make up for what a signal cut short."""
        self.curve.forget_after(self._trainer.step)
        self.after_step()

    def validate(self) -> None:
        """Measure at the step that was done last, unless that has been done."""
        trainer = self._trainer
        if any(row["step"] == trainer.step for row in self.curve.rows()):
            return
        try:
            values = self._measures.measure(self._network())
            self._samples.write(self._network(), trainer.step)
        except Cancelled:
            log.warning("the validation at step %d was cut short", trainer.step)
            return
        self.curve.add(trainer.step, trainer.seconds, values)
        log.info("step %d, held-out people: %s", trainer.step, values)


def watch_held_out(
    recipe: UNetRecipe,
    trainer: Trainer,
    clips: list[HeldOutClip],
    vae: Autoencoder,
    mask: Tensor,
    device: torch.device,
    decoded: Mapping[str, DecodedLoss],
    judges: Mapping[str, SyncJudge],
    board: Board | None,
) -> HeldOutWatch:
    """The watch of a run, on its averaged weights; arguments as for `UNetValidation`."""

    def check_stop() -> None:
        if trainer.is_stopping:
            raise Cancelled("a signal asked to stop")

    generator = WindowGenerator(recipe, vae, mask, device, check_stop)
    measures = UNetValidation(recipe, clips, vae, mask, device, decoded, judges, generator, check_stop)
    samples = SampleVideos(recipe, clips, generator)
    return HeldOutWatch(recipe, trainer, lambda: trainer.averaged, measures, samples, board)
