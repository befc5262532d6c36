"""Train SyncNet (`train-syncnet RECIPE.yaml`): arXiv:2412.09262, section 3.3 and the studies of section 4.3.

The run's folder gets `syncnet/` (the weights, averaged if the recipe says so, rewritten at every checkpoint), `best/`
(those of the lowest validation loss), losses.csv, validation.csv, curves.png, tensorboard/, and alarm.txt while the
loss is stuck at chance.
"""

import logging
import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import count, islice
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from latentsync_core.models.syncnet import StableSyncNet
from latentsync_core.models.wav2lip_syncnet import EMBEDDING_DIMS
from latentsync_core.training.checkpoint import refuse_used_folder
from latentsync_core.training.curves import PICTURE, Curve, TensorBoard, plot_curves
from latentsync_core.training.devices import autocast, choose_device
from latentsync_core.training.face_clips import read_face_clips, refuse_shared_people
from latentsync_core.training.losses.mouth_loss import TaughtSyncNet
from latentsync_core.training.losses.sync_loss import compare_all, cosine_loss, sync_accuracy
from latentsync_core.training.processes import join_processes
from latentsync_core.training.run_facts import describe_run
from latentsync_core.training.stuck_alarm import CHANCE_ACCURACY, CHANCE_LOSS, likely_causes, stuck_since
from latentsync_core.training.sync_windows import SyncItem, SyncWindows, open_sync_clips
from latentsync_core.training.syncnet_model import save_syncnet
from latentsync_core.training.syncnet_recipe import SyncNetRecipe, build_syncnet
from latentsync_core.training.trainer import Trainer

log = logging.getLogger(__name__)

VALIDATION_SEED = 0  # the same windows in every run, so that runs can be compared


def open_windows(recipe: SyncNetRecipe, device: torch.device) -> tuple[SyncWindows, SyncWindows]:
    """The windows to learn from and, of other people, those to validate with."""
    vae = None
    if recipe.vae_dir:
        from latentsync_core.training.autoencoders import load_autoencoder  # which loads diffusers: seconds

        vae = load_autoencoder(Path(recipe.vae_dir), device)
    training, held_out = (
        open_sync_clips(read_face_clips(recipe.data_dir, split), recipe.cache_dir, recipe.resolution, vae)
        for split in ("train", "val")
    )
    refuse_shared_people([clip.clip for clip in training], [clip.clip for clip in held_out])
    shift, weight = recipe.min_negative_shift, recipe.generated_weight
    return (
        SyncWindows(
            training,
            recipe.num_frames,
            recipe.seed,
            shift,
            recipe.augment,
            weight,
            recipe.windows_per_clip,
            with_mouth=bool(recipe.lip_reading_weight),
        ),
        SyncWindows(held_out, recipe.num_frames, VALIDATION_SEED, shift, False, weight),
    )


class SyncNetLosses:
    """Draws batches and judges them; the arithmetic is in the recipe's precision, loss and weights in float32."""

    def __init__(self, recipe: SyncNetRecipe, device: torch.device) -> None:
        self._recipe, self._device = recipe, device

    def batches(self, windows: SyncWindows, first: int, stride: int = 1) -> Iterator[SyncItem]:
        """Every `stride`-th batch from number `first` on, without end."""
        size = self._recipe.batch_size
        numbers = (range(number * size, (number + 1) * size) for number in count(first, stride))
        own = torch.Generator()  # else the loader draws from torch's own, which a resumed run must find as it was
        return iter(
            DataLoader(windows, batch_sampler=numbers, num_workers=self._recipe.num_workers, generator=own)  # type: ignore[arg-type]
        )

    def judge(self, network: nn.Module, batch: SyncItem) -> dict[str, Tensor]:
        """Loss ("total") and accuracy of one batch of pairs, each in sync or not."""
        vision, audio, labels = self._embed(network, batch)
        return {"total": cosine_loss(vision, audio, labels), "accuracy": sync_accuracy(vision, audio, labels)}

    def judge_for_training(self, network: nn.Module, batch: SyncItem) -> dict[str, Tensor]:
        """Likewise of a training batch, which may be of several windows of each clip; "minimised" is then to be."""
        recipe = self._recipe
        if recipe.windows_per_clip == 1:
            return self.judge(network, batch)
        vision, audio, _ = self._embed(network, batch)
        losses = compare_all(vision, audio, recipe.windows_per_clip)
        minimised = losses["total"] + recipe.contrast_weight * losses["contrast"]
        if isinstance(network, TaughtSyncNet):
            mouth = network.judge_mouth(vision, audio, batch.mouth.to(self._device))
            losses.update(mouth)
            minimised = minimised + recipe.lip_reading_weight * sum(mouth.values())
        return {**losses, "minimised": minimised}

    def _embed(self, network: nn.Module, batch: SyncItem) -> tuple[Tensor, Tensor, Tensor]:
        frames, mel, labels = (tensor.to(self._device, non_blocking=True) for tensor in batch[:3])
        with autocast(self._device, self._recipe.precision):
            vision, audio = network(frames, mel)
        return vision, audio, labels

    @torch.no_grad()
    def validate(self, network: nn.Module, windows: SyncWindows) -> dict[str, float]:
        """Mean loss and accuracy over the first validation windows; leaves the network's mode as it was."""
        was_training = network.training
        network.eval()
        num_batches = math.ceil(self._recipe.validation_items / self._recipe.batch_size)
        judged = [self.judge(network, batch) for batch in islice(self.batches(windows, 0), num_batches)]
        network.train(was_training)
        return {name: sum(float(each[name]) for each in judged) / num_batches for name in judged[0]}


class SyncNetRun:
    """The files of a run's folder, beside the trainer's checkpoints."""

    def __init__(
        self, recipe: SyncNetRecipe, trainer: Trainer, board: TensorBoard | None, facts: dict[str, int]
    ) -> None:
        self._recipe, self._trainer, self._facts = recipe, trainer, facts
        self.validation = Curve(recipe.run_dir / "validation.csv", board)

    def note_validation(self, values: dict[str, float]) -> None:
        """Add a point to the curve, keep the best weights, and raise or lift the alarm."""
        self.validation.add(self._trainer.step, self._trainer.seconds, values)
        log.info("step %d: validation loss %.4f, accuracy %.3f", self._trainer.step, *values.values())
        losses = [row["total"] for row in self.validation.rows()]
        if losses[-1] <= min(losses):
            self._save_network("best")
        self._alarm()

    def note_checkpoint(self) -> None:
        """Write the network as it is, and draw the curves."""
        self._save_network("syncnet")
        plot_curves(
            self._recipe.run_dir / PICTURE,
            {"training": self._trainer.curve, "held-out people": self.validation},
            {"total": CHANCE_LOSS, "accuracy": CHANCE_ACCURACY},
        )

    def _save_network(self, name: str) -> None:
        recipe = self._recipe
        facts = {"num_frames": recipe.num_frames, "resolution": recipe.resolution, "space": recipe.space}
        averaged = self._trainer.averaged
        network = averaged.syncnet if isinstance(averaged, TaughtSyncNet) else averaged
        save_syncnet(network, recipe.run_dir / name, {**facts, "step": self._trainer.step})

    def _alarm(self) -> None:
        path = self._recipe.run_dir / "alarm.txt"
        since = stuck_since([(int(row["step"]), row["total"]) for row in self._trainer.curve.rows()])
        if since is None or self._trainer.step - since < self._recipe.stuck_after:
            path.unlink(missing_ok=True)
            return
        recipe = self._recipe
        causes = likely_causes(
            batch_size=recipe.batch_size * recipe.batches_per_step,
            num_frames=recipe.num_frames,
            embedding_dim=self._facts["embedding_dim"],
            learning_rate=recipe.learning_rate,
            min_shift=recipe.min_negative_shift,
            people=self._facts["people"],
        )
        text = "\n- ".join([f"stuck at 0.69, the loss of chance, since step {since}. Look at:", *causes])
        if not path.exists():
            log.warning("%s", text)
        path.write_text(text + "\n", encoding="utf-8")


def train_syncnet(recipe: SyncNetRecipe, resume: bool = False) -> None:
    """Run the recipe.

    Raises:
        BadOption: if the folder holds a run already and `resume` is not wanted, or the recipe contradicts itself.
        Cancelled: after SIGINT or SIGTERM, with a checkpoint saved.
    """
    if not resume:
        refuse_used_folder(recipe.run_dir)
    device = choose_device(recipe.device)
    processes = join_processes(device)
    with processes.main_first():
        windows, held_out = open_windows(recipe, device)
    torch.manual_seed(recipe.seed)
    network = build_syncnet(recipe, windows.picture).to(device)
    people = {clip.clip.identity for clip in windows.clips}
    facts = {"embedding_dim": _embedding_dim(network, recipe), "people": len(people)}
    if recipe.lip_reading_weight:
        network = TaughtSyncNet(network, facts["embedding_dim"], recipe.num_frames).to(device)
    log.info("%.1f M parameters, %s", sum(parameter.numel() for parameter in network.parameters()) / 1e6, facts)
    if processes.is_main:
        describe_run(recipe, "train-syncnet")
    with TensorBoard(recipe.run_dir / "tensorboard") if processes.is_main else nullcontext() as board:
        schedule = recipe.schedule()
        trainer = Trainer(network, recipe.run_dir, schedule, recipe.weight_decay, board=board, processes=processes)
        if resume:
            trainer.resume()
        losses, run = SyncNetLosses(recipe, device), SyncNetRun(recipe, trainer, board, facts)
        if processes.is_main:
            run.validation.forget_after(trainer.step)
        batches = losses.batches(windows, trainer.batch, processes.count)

        def next_losses() -> dict[str, Tensor]:
            asked = time.monotonic()
            batch = next(batches)
            waited = time.monotonic() - asked
            return {**losses.judge_for_training(network, batch), "waiting_seconds": torch.tensor(waited)}

        def validate_sometimes() -> None:
            if trainer.step % recipe.validate_every == 0:
                run.note_validation(losses.validate(trainer.averaged, held_out))

        trainer.run(next_losses, run.note_checkpoint, validate_sometimes)


def _embedding_dim(network: nn.Module, recipe: SyncNetRecipe) -> int:
    if isinstance(network, StableSyncNet):
        return network.config.visual_encoder.block_out_channels[-1]
    return EMBEDDING_DIMS[recipe.resolution]
