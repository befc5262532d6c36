"""Recipes: typed, refused by name."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from latentsync_core.errors import BadOption
from latentsync_core.training.export_bundle import BundleRecipe
from latentsync_core.training.recipe import build_config, read_recipe
from latentsync_core.training.train_audio_encoder import AudioRecipe
from latentsync_core.training.train_unet import UNetRecipe
from latentsync_core.training.train_vae import VaeRecipe

RECIPES = Path(read_recipe.__code__.co_filename).parent / "recipes"


@dataclass(frozen=True)
class ExampleRecipe:
    folder: Path
    rate: float = 1.0
    steps: int = 10
    parts: tuple[str, ...] = ()


def test_values_become_what_the_dataclass_says(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("folder: some/where\nrate: 1e-4\nparts: [a, b]\n")
    assert read_recipe(recipe, ExampleRecipe, ["steps=3"]) == ExampleRecipe(Path("some/where"), 1e-4, 3, ("a", "b"))


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"folder": "x", "stesp": 3}, "stesp"),
        ({"rate": 1.0}, "folder"),
        ({"folder": "x", "steps": "many"}, "steps"),
        ({"folder": "x", "rate": "fast"}, "rate"),
        ({"folder": "x", "steps": True}, "steps"),
    ],
)
def test_a_wrong_key_or_value_is_refused_by_name(values, named):
    with pytest.raises(BadOption, match=named):
        build_config(ExampleRecipe, values, "recipe.yaml")


def test_an_override_without_a_value_is_refused(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("folder: x\n")
    with pytest.raises(BadOption, match="key=value"):
        read_recipe(recipe, ExampleRecipe, ["steps"])


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("mini_vae", VaeRecipe),
        ("mini_audio", AudioRecipe),
        ("mini_unet_stage1", UNetRecipe),
        ("mini_unet_stage2", UNetRecipe),
        ("mini_bundle", BundleRecipe),
    ],
)
def test_the_shipped_recipes_are_valid(name, kind):
    read_recipe(RECIPES / f"{name}.yaml", kind)
