"""Recipes: a YAML file over a typed dataclass, with `--set key=value` on top."""

from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import yaml

from latentsync_core.errors import BadOption

Config = TypeVar("Config")


def read_recipe(path: Path, config_class: type[Config], overrides: list[str] | None = None) -> Config:
    """Read a YAML recipe into `config_class`, then apply overrides: `key=value`, or `part.key=value` within a part.

    Raises:
        BadOption: for an unknown key, a missing one, or a value of the wrong type; the message names it.
    """
    values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    for override in overrides or []:
        key, separator, text = override.partition("=")
        if not separator:
            raise BadOption(f"--set wants key=value, got {override!r}")
        *parts, last = key.split(".")
        inner = values
        for part in parts:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise BadOption(f"--set {key}: {part} has no parts")
        inner[last] = yaml.safe_load(text)
    return build_config(config_class, values, str(path))


def build_config(config_class: type[Config], values: dict[str, Any], where: str) -> Config:
    """Make a dataclass from plain values, converting lists to tuples, strings to paths and `1e-4` to a float."""
    assert is_dataclass(config_class)
    hints = get_type_hints(config_class)
    unknown = values.keys() - hints.keys()
    if unknown:
        raise BadOption(f"{where}: unknown key(s) {', '.join(sorted(unknown))}; known: {', '.join(hints)}")
    missing = [f.name for f in fields(config_class) if f.name not in values and _has_no_default(f)]
    if missing:
        raise BadOption(f"{where}: missing key(s) {', '.join(missing)}")
    return config_class(**{key: _convert(value, hints[key], f"{where}: {key}") for key, value in values.items()})


def _has_no_default(field: Any) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _convert(value: Any, kind: Any, where: str) -> Any:
    if get_origin(kind) is tuple:
        inner = get_args(kind)[0]
        return tuple(_convert(item, inner, where) for item in value)
    if isinstance(kind, type) and is_dataclass(kind):
        if not isinstance(value, dict):
            raise BadOption(f"{where} must be keys with values, got {value!r}")
        return build_config(kind, value, where)
    if kind is float and isinstance(value, int | str) and not isinstance(value, bool):
        try:
            return float(value)  # YAML reads 1e-4 as a string
        except ValueError:
            raise BadOption(f"{where} must be a number, got {value!r}") from None
    if kind is Path:
        return Path(value).expanduser()
    if isinstance(kind, type) and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
        raise BadOption(f"{where} must be a {kind.__name__}, got {value!r}")
    return value
