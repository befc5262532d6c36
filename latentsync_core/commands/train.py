"""`train-... RECIPE.yaml [--set key=value ...] [--resume latest]` and `export-bundle RECIPE.yaml`."""

import argparse
import sys
from pathlib import Path


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands."""
    for name, text, run in (
        ("train-vae", "train an autoencoder", run_resumable),
        ("train-audio", "train an audio encoder to tell the shape of the lips", run_train_audio),
        ("train-syncnet", "train a SyncNet to tell whether lips and sound belong together", run_resumable),
        ("train-unet", "train a U-Net, one stage", run_train_unet),
        ("train-videomae", "train TREPA's stand-in", run_resumable),
        ("train-face-features", "train LPIPS's stand-in", run_resumable),
        ("export-bundle", "put a bundle together from trained parts", run_export_bundle),
    ):
        parser = subparsers.add_parser(name, help=text)
        parser.add_argument("recipe", metavar="RECIPE.yaml", type=Path)
        parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change one key")
        if run in (run_resumable, run_train_unet):
            parser.add_argument("--resume", choices=["latest"], help="go on from the newest checkpoint")
        parser.set_defaults(run=run, command=name)


def run_train_audio(arguments: argparse.Namespace) -> int:
    """Train an audio encoder."""
    from latentsync_core.training.recipe import read_recipe
    from latentsync_core.training.train_audio_encoder import AudioRecipe, train_audio_encoder

    recipe = read_recipe(arguments.recipe, AudioRecipe, arguments.set)
    train_audio_encoder(recipe)
    return _tell(recipe.run_dir)


def run_train_unet(arguments: argparse.Namespace) -> int:
    """Train one stage of a U-Net."""
    from latentsync_core.training.recipe import read_recipe
    from latentsync_core.training.train_unet import train_unet
    from latentsync_core.training.unet_recipe import UNetRecipe

    recipe = read_recipe(arguments.recipe, UNetRecipe, arguments.set)
    train_unet(recipe, resume=arguments.resume == "latest", tell=_say)
    return _tell(recipe.run_dir)


def run_resumable(arguments: argparse.Namespace) -> int:
    """Train what the command names, with nothing to say before the first step."""
    from latentsync_core.training.recipe import read_recipe
    from latentsync_core.training.trainers import find_trainer

    trainer = find_trainer(arguments.command)
    recipe = read_recipe(arguments.recipe, trainer.recipe_class, arguments.set)
    trainer.train(recipe, resume=arguments.resume == "latest")
    return _tell(recipe.run_dir)


def run_export_bundle(arguments: argparse.Namespace) -> int:
    """Write a bundle folder."""
    from latentsync_core.training.export_bundle import BundleRecipe, export_bundle
    from latentsync_core.training.recipe import read_recipe

    recipe = read_recipe(arguments.recipe, BundleRecipe, arguments.set)
    size = export_bundle(recipe)
    sys.stdout.write(f"{recipe.out_dir}: {size / 2**20:.1f} MiB\n")
    return 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _tell(run_dir: Path) -> int:
    sys.stdout.write(f"weights and curves are in {run_dir}\n")
    return 0
