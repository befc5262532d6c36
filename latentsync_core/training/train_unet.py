"""Train the U-Net (`train-unet RECIPE.yaml`): arXiv:2412.09262, section 3, one stage at a time.

Stage 1 learns the reconstruction from many clips per batch; stage 2 adds the temporal layers and trains those and the
attentions on windows of consecutive frames, with the losses on decoded frames. Where the small bundle differs from the
paper: its stage 1 sees single frames without temporal layers, the network predicts the clean latents, as a change of
the reference's (`residual_reference`), the loss counts the mask's hole most, and a discriminator on latents keeps the
mouths sharp.
"""

import logging
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import torch
from diffusers import DDIMScheduler
from torch import Tensor, nn

from latentsync_core.bundle_parts import load_audio_encoder
from latentsync_core.diffusion.latents import Autoencoder, mask_at_latents, spatial_factor
from latentsync_core.errors import BadCheckpoint, BadOption
from latentsync_core.face.mask import load_mask, official_mask
from latentsync_core.models.checkpoint import read_state_dict
from latentsync_core.models.unet import UNet3DConditionModel
from latentsync_core.models.unet_config import UNetConfig
from latentsync_core.training.autoencoders import load_autoencoder
from latentsync_core.training.checkpoint import refuse_used_folder
from latentsync_core.training.curves import TensorBoard, plot_run
from latentsync_core.training.decoded_losses import DECODED_AT_ONCE, load_decoded_losses
from latentsync_core.training.devices import choose_device
from latentsync_core.training.face_clips import SAMPLE_RATE, read_face_clips, refuse_shared_people
from latentsync_core.training.held_out_clips import HeldOutClip, open_held_out
from latentsync_core.training.held_out_watch import watch_held_out
from latentsync_core.training.memory_plan import MemoryPlan, plan_memory
from latentsync_core.training.processes import Processes, join_processes
from latentsync_core.training.reconstruction import loss_weights
from latentsync_core.training.run_facts import describe_run
from latentsync_core.training.sync_judges import load_judges
from latentsync_core.training.trainer import Trainer
from latentsync_core.training.unet_losses import UNetLosses
from latentsync_core.training.unet_recipe import OFFICIAL_MASK, RESOLUTION, UNetRecipe
from latentsync_core.training.unet_windows import WindowSampler, build_sampler

log = logging.getLogger(__name__)


def load_stage(unet: UNet3DConditionModel, path: Path) -> None:
    """Load the averaged weights of an earlier stage, or a bundle's U-Net; only temporal layers may be new or left out.

    Raises:
        BadCheckpoint: naming what else is missing or unexpected.
    """
    result = unet.load_state_dict(read_state_dict(path), strict=False)
    missing, unexpected = (
        [key for key in keys if "motion_modules" not in key] for keys in (result.missing_keys, result.unexpected_keys)
    )
    if missing or unexpected:
        raise BadCheckpoint(f"{path}: missing {missing[:5]}, unexpected {unexpected[:5]}")


def build_unet(recipe: UNetRecipe) -> UNet3DConditionModel:
    """The network of the recipe, with the weights of the stage before, its trainable parameters chosen."""
    unet = UNet3DConditionModel(UNetConfig.from_dict(recipe.model))
    log.info("%.1f M parameters", sum(parameter.numel() for parameter in unet.parameters()) / 1e6)
    if recipe.init_from:
        load_stage(unet, Path(recipe.init_from))
    for name, parameter in unet.named_parameters():
        parameter.requires_grad_(any(part in name for part in recipe.trainable))
    unet.set_gradient_checkpointing(recipe.gradient_checkpointing)
    return unet


def plan_run(
    recipe: UNetRecipe, unet: UNet3DConditionModel, vae: Autoencoder, audio_tokens: int, device: torch.device
) -> MemoryPlan:
    """What a step of the recipe will take on the device, where the autoencoder is already.

    Args:
        audio_tokens: S, that a frame hears.
    """
    batch, frames, side = recipe.batch_size, recipe.window_frames, RESOLUTION // spatial_factor(vae)
    num_decoded = batch * frames if recipe.losses.decoded else 0
    return plan_memory(
        unet,
        (
            (batch, recipe.model["in_channels"], frames, side, side),
            (batch, frames, audio_tokens, recipe.model["cross_attention_dim"]),
        ),
        precision=recipe.precision,
        with_ema=recipe.ema_decay > 0,
        decoder_frames=min(num_decoded, DECODED_AT_ONCE) if recipe.gradient_checkpointing else num_decoded,
        vae=vae,
        device=device,
    )


def refuse_misfit(recipe: UNetRecipe, vae: Autoencoder, width: int) -> None:
    """Make sure that the U-Net takes what autoencoder and audio encoder give.

    Args:
        width: of the audio encoder's states.

    Raises:
        BadOption: naming both sizes.
    """
    channels = vae.config.latent_channels
    for key, given, what in (
        ("in_channels", 3 * channels + 1, f"noise, masked and reference latents of {channels} channels and the mask"),
        ("out_channels", channels, "the autoencoder's latents"),
        ("cross_attention_dim", width, "the audio encoder's states"),
    ):
        if recipe.model.get(key) != given:
            raise BadOption(f"model.{key} is {recipe.model.get(key)}, but it takes {given}: {what}")


def train_unet(recipe: UNetRecipe, resume: bool = False, tell: Callable[[str], None] = log.info) -> None:
    """Run the recipe and leave the averaged weights in `run_dir/unet.pt` and discriminator.pt, new at every checkpoint.

    Args:
        resume: go on from the newest checkpoint.
        tell: is called with the memory plan before the first step.

    Raises:
        BadOption: if the folder holds a run already and `resume` is not wanted, or parts do not fit each other.
        BadCheckpoint: if weights that the recipe names are missing or do not fit.
        Cancelled: after SIGINT or SIGTERM, with a checkpoint saved.
    """
    if not resume:
        refuse_used_folder(recipe.run_dir)
    device = choose_device(recipe.device)
    processes = join_processes(device)
    decoded = load_decoded_losses(recipe.losses, recipe.window_frames, device)
    judges = load_judges(recipe.validation.judges, recipe.window_frames, device)
    is_official = str(recipe.mask_path) == OFFICIAL_MASK
    mask = torch.from_numpy(official_mask(RESOLUTION) if is_official else load_mask(recipe.mask_path, RESOLUTION))
    vae, sampler, held_out = _open_data(recipe, mask, device, processes)
    torch.manual_seed(recipe.seed)  # after all that is read: networks draw random weights before they get theirs
    unet = build_unet(recipe)
    if processes.is_main:
        tell(plan_run(recipe, unet, vae, sampler.num_tokens, device).describe())
    unet.to(device)
    scheduler = DDIMScheduler.from_config(recipe.scheduler)
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.to(device)
    small_mask = mask_at_latents(mask, spatial_factor(vae)).to(device)
    weights = loss_weights(mask, small_mask.shape[-1], recipe).to(device)
    losses = UNetLosses(unet, scheduler, small_mask, weights, recipe, vae, decoded, processes)
    if processes.is_main:
        describe_run(recipe, "train-unet")
    with TensorBoard(recipe.run_dir / "tensorboard") if processes.is_main else nullcontext() as board:
        trainer = Trainer(
            unet,
            recipe.run_dir,
            recipe.schedule(),
            recipe.weight_decay,
            {"adversary": losses.adversary},
            board=board,
            loss_scaling=recipe.precision == "fp16",
            processes=processes,
        )
        if resume:
            trainer.resume()
        watch = None
        if held_out:
            watch = watch_held_out(recipe, trainer, held_out, vae, mask, device, decoded, judges, board)

        def save() -> None:
            torch.save(trainer.averaged.state_dict(), recipe.run_dir / "unet.pt")
            torch.save(losses.adversary.discriminator.state_dict(), recipe.run_dir / "discriminator.pt")
            plot_run(recipe.run_dir, trainer.curve, watch.curve if watch else None)

        if watch:
            watch.resume()
        after_step = watch.after_step if watch else None
        trainer.run(lambda: losses(sampler.batch(trainer.batch).to(device), trainer.step), save, after_step)
        if watch:
            watch.validate()  # where the clock ended the run
            plot_run(recipe.run_dir, trainer.curve, watch.curve)


def _open_data(
    recipe: UNetRecipe, mask: Tensor, device: torch.device, processes: Processes
) -> tuple[Autoencoder, WindowSampler, list[HeldOutClip]]:
    """The autoencoder on the device, the windows to learn from, and the held-out clips (the main process's only)."""
    vae = load_autoencoder(recipe.vae_dir, device)
    cast(Any, vae).to(memory_format=torch.channels_last)
    encoder = load_audio_encoder(recipe.audio_encoder_dir)
    nn.Module.to(cast(nn.Module, encoder), device=device)
    refuse_misfit(recipe, vae, encoder.encode(torch.zeros(SAMPLE_RATE)).shape[-1])  # before hours of caching
    clips, people, held_out = read_face_clips(recipe.data_dir, "train"), [], []
    if recipe.validation.steps:
        people = read_face_clips(recipe.data_dir, "val", ("real",))
        refuse_shared_people(clips, people)
    with processes.main_first():
        sampler = build_sampler(recipe, clips, vae, mask, encoder)
        if people and processes.is_main:
            held_out = open_held_out(
                people, recipe.cache_dir, vae, mask, encoder, recipe.context_frames, recipe.window_frames
            )
    return vae, sampler, held_out
