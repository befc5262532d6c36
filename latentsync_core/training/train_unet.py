"""Train the U-Net (`train-unet RECIPE.yaml`): arXiv:2412.09262, section 3, one stage at a time.

Stage 1 learns the reconstruction from many clips per batch; stage 2 adds the temporal layers and trains those and the
attentions on windows of consecutive frames, with the losses on decoded frames. Where the small bundle differs from the
paper: its stage 1 sees single frames without temporal layers, the network predicts the clean latents, as a change of
the reference's (`residual_reference`), the loss counts the mask's hole most, and a discriminator on latents keeps the
mouths sharp.
"""

import logging
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import DDIMScheduler

from latentsync_core.audio.audio_windows import FEATURES_PER_FRAME
from latentsync_core.diffusion.latents import Autoencoder, mask_at_latents, spatial_factor
from latentsync_core.errors import BadCheckpoint
from latentsync_core.face.mask import load_mask
from latentsync_core.models.autoencoder import SpaceToDepthAutoencoder
from latentsync_core.models.checkpoint import read_state_dict
from latentsync_core.models.unet import UNet3DConditionModel
from latentsync_core.models.unet_config import UNetConfig
from latentsync_core.training.checkpoint import refuse_used_folder
from latentsync_core.training.decoded_losses import DECODED_AT_ONCE, load_decoded_losses
from latentsync_core.training.devices import choose_device
from latentsync_core.training.memory_plan import MemoryPlan, plan_memory
from latentsync_core.training.processes import join_processes
from latentsync_core.training.reconstruction import loss_weights
from latentsync_core.training.run_facts import describe_run
from latentsync_core.training.trainer import Trainer
from latentsync_core.training.unet_losses import UNetLosses
from latentsync_core.training.unet_recipe import RESOLUTION, UNetRecipe
from latentsync_core.training.unet_windows import build_sampler

log = logging.getLogger(__name__)


def load_stage(unet: UNet3DConditionModel, path: Path) -> None:
    """Load the averaged weights of an earlier stage, or a bundle's U-Net; only temporal layers may be new.

    Raises:
        BadCheckpoint: naming what else is missing or unexpected.
    """
    result = unet.load_state_dict(read_state_dict(path), strict=False)
    missing = [key for key in result.missing_keys if "motion_modules" not in key]
    if missing or result.unexpected_keys:
        raise BadCheckpoint(f"{path}: missing {missing[:5]}, unexpected {result.unexpected_keys[:5]}")


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


def plan_run(recipe: UNetRecipe, unet: UNet3DConditionModel, vae: Autoencoder, device: torch.device) -> MemoryPlan:
    """What a step of the recipe will take on the device, where the autoencoder is already."""
    batch, frames, side = recipe.batch_size, recipe.window_frames, RESOLUTION // spatial_factor(vae)
    audio_tokens = (2 * recipe.context_frames + 1) * FEATURES_PER_FRAME
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


def train_unet(recipe: UNetRecipe, resume: bool = False, tell: Callable[[str], None] = log.info) -> None:
    """Run the recipe and leave the averaged weights in `run_dir/unet.pt` and discriminator.pt, new at every checkpoint.

    Args:
        resume: go on from the newest checkpoint.
        tell: is called with the memory plan before the first step.

    Raises:
        BadOption: if the folder holds a run already and `resume` is not wanted, or a loss's network does not fit.
        BadCheckpoint: if weights that the recipe names are missing or do not fit.
        Cancelled: after SIGINT or SIGTERM, with a checkpoint saved.
    """
    if not resume:
        refuse_used_folder(recipe.run_dir)
    device = choose_device(recipe.device)
    processes = join_processes(device)
    decoded = load_decoded_losses(recipe.losses, recipe.window_frames, device)
    torch.manual_seed(recipe.seed)
    vae = SpaceToDepthAutoencoder.from_pretrained(recipe.vae_dir).eval().to(memory_format=torch.channels_last)
    vae.requires_grad_(False)
    mask = torch.from_numpy(load_mask(recipe.mask_path, RESOLUTION))
    with processes.main_first():
        sampler = build_sampler(recipe, vae, mask)
    vae.to(device)
    unet = build_unet(recipe)
    if processes.is_main:
        tell(plan_run(recipe, unet, vae, device).describe())
    unet.to(device)
    scheduler = DDIMScheduler.from_config(recipe.scheduler)
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.to(device)
    small_mask = mask_at_latents(mask, vae.vae_scale_factor).to(device)
    weights = loss_weights(mask, small_mask.shape[-1], recipe).to(device)
    losses = UNetLosses(unet, scheduler, small_mask, weights, recipe, vae, decoded, processes)
    companions = {"adversary": losses.adversary}
    trainer = Trainer(
        unet,
        recipe.run_dir,
        recipe.schedule(),
        recipe.weight_decay,
        companions,
        loss_scaling=recipe.precision == "fp16",
        processes=processes,
    )
    if resume:
        trainer.resume()

    def save() -> None:
        torch.save(trainer.averaged.state_dict(), recipe.run_dir / "unet.pt")
        torch.save(losses.adversary.discriminator.state_dict(), recipe.run_dir / "discriminator.pt")

    if processes.is_main:
        describe_run(recipe, "train-unet")
    trainer.run(lambda: losses(sampler.batch(trainer.batch).to(device), trainer.step), save)
