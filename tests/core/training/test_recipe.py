"""Recipes: typed, refused by name."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from latentsync_core.errors import BadOption
from latentsync_core.training.export_bundle import BundleRecipe
from latentsync_core.training.recipe import build_config, read_recipe
from latentsync_core.training.train_audio_encoder import AudioRecipe
from latentsync_core.training.train_vae import VaeRecipe
from latentsync_core.training.unet_recipe import UNetRecipe

RECIPES = Path(read_recipe.__code__.co_filename).parent / "recipes"


@dataclass(frozen=True)
class ExamplePart:
    width: int = 4
    share: float = 0.5


@dataclass(frozen=True)
class ExampleRecipe:
    folder: Path
    rate: float = 1.0
    steps: int = 10
    parts: tuple[str, ...] = ()
    part: ExamplePart = ExamplePart()


def test_values_become_what_the_dataclass_says(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("folder: some/where\nrate: 1e-4\nparts: [a, b]\n")
    assert read_recipe(recipe, ExampleRecipe, ["steps=3"]) == ExampleRecipe(Path("some/where"), 1e-4, 3, ("a", "b"))


def test_an_override_reaches_into_a_part(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("folder: x\npart: {width: 8}\n")
    changed = read_recipe(recipe, ExampleRecipe, ["part.share=1e-1", "part.width=2"])
    assert changed.part == ExamplePart(2, 0.1)
    recipe.write_text("folder: x\n")
    assert read_recipe(recipe, ExampleRecipe, ["part.share=1"]).part == ExamplePart(4, 1.0)
    with pytest.raises(BadOption, match=r"part.*witdh"):
        read_recipe(recipe, ExampleRecipe, ["part.witdh=1"])
    with pytest.raises(BadOption, match="folder has no parts"):
        read_recipe(recipe, ExampleRecipe, ["folder.name=1"])
    recipe.write_text("folder: x\npart:\n")
    with pytest.raises(BadOption, match="part must be"):
        read_recipe(recipe, ExampleRecipe)


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
        ("mini_audio_silence", AudioRecipe),
        ("mini_audio_speech", AudioRecipe),
        ("mini_unet_stage1", UNetRecipe),
        ("mini_unet_stage1b", UNetRecipe),
        ("mini_unet_stage2", UNetRecipe),
        ("mini_bundle", BundleRecipe),
    ],
)
def test_the_shipped_recipes_are_valid(name, kind):
    read_recipe(RECIPES / f"{name}.yaml", kind)
