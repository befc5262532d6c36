"""A study: one recipe, and variants of it that each change a few keys (arXiv:2412.09262, figures 7-12).

title: Batch size
trainer: train-syncnet
base: ../mini_syncnet.yaml     # a recipe; relative to the study
common: {augment: false}       # what all variants change, if anything
source: arXiv:2412.09262, figure 8
finding: One sentence.
variants:
  "128": {batch_size: 64, batches_per_step: 2}
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from latentsync_core.errors import BadOption
from latentsync_core.training.recipe import build_config, read_recipe
from latentsync_core.training.trainers import TrainerEntry, find_trainer

NAME_CHARACTERS = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")


@dataclass(frozen=True)
class Study:
    """What a study's file says.

    Attributes:
        variants: by name, which is a folder's too, the keys that it changes.
        finding: what the paper found, one sentence.
    """

    title: str
    trainer: str
    base: Path
    source: str
    finding: str
    variants: dict[str, Any]
    common: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Variant:
    """One variant, ready to be trained."""

    name: str
    recipe: Any
    trainer: TrainerEntry


def read_study(path: Path) -> Study:
    """Read a study's file.

    Raises:
        BadOption: naming what is missing, unknown or no name of a folder.
    """
    study = build_config(Study, _read_yaml(path), str(path))
    wrong = [name for name in map(str, study.variants) if not name.strip(".") or set(name) - NAME_CHARACTERS]
    if wrong or not study.variants:
        raise BadOption(f"{path}: variants need names of letters, digits, dot, _ and -; got {wrong}")
    return study


def build_variants(path: Path, study: Study, out_dir: Path, overrides: list[str]) -> list[Variant]:
    """The recipes of all variants: base, then common, then `overrides`, then the variant's own keys.

    Args:
        path: of the study's file.
        study: what it says.
        out_dir: each variant's run folder lies in it.
        overrides: key=value, of all variants.

    Raises:
        BadOption: if a recipe is wrong, or its data is missing; the message names the variant.
    """
    trainer = find_trainer(study.trainer)
    base = path.parent / study.base
    if not base.is_file():
        raise BadOption(f"{path}: its base {base} does not exist")
    variants = []
    for name, changes in study.variants.items():
        where = f"{path}: variant {name!r}"
        if not isinstance(changes, dict):
            raise BadOption(f"{where} must be a mapping of changed keys, got {changes!r}")
        own = {**changes, "run_dir": str(out_dir / str(name))}
        try:
            recipe = read_recipe(base, trainer.recipe_class, [*_settings(study.common), *overrides, *_settings(own)])
        except BadOption as error:
            raise BadOption(f"{where}: {error}") from error
        variants.append(Variant(str(name), recipe, trainer))
    return variants


def refuse_missing_data(variants: list[Variant]) -> None:
    """Check that every variant's prepared clips are there, and the networks that it starts from, uses or asks.

    Raises:
        BadOption: naming the variants, their folders and the keys.
    """
    missing = [
        f"variant {variant.name!r}: {variant.recipe.data_dir} holds no prepared clips"
        for variant in variants
        if not any(variant.recipe.data_dir.glob("*/meta.json"))
    ]
    missing += [
        f"variant {variant.name!r}: {key} is {path}, which does not exist"
        for variant in variants
        for key, path in getattr(variant.recipe, "files", {}).items()
        if not path.exists()
    ]
    if missing:
        raise BadOption("; ".join(missing) + ". Prepare or train them, or leave variants out with --only")


def _settings(values: dict[str, Any]) -> list[str]:
    """Keys and values as `--set` takes them; JSON is YAML."""
    return [f"{key}={json.dumps(value)}" for key, value in values.items()]


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadOption(f"{path}: no such file") from error
    if not isinstance(values, dict):
        raise BadOption(f"{path}: not a mapping of keys")
    return values
