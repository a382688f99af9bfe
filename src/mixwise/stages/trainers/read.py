"""Read a trainer's configuration, whichever trainer's it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mixwise.errors import RecipeError, first_line, printable
from mixwise.recipe.strict_yaml import parse_yaml
from mixwise.stages.trainers.axolotl import read_axolotl
from mixwise.stages.trainers.config import Config, Taken
from mixwise.stages.trainers.llamafactory import read_llamafactory
from mixwise.stages.trainers.ms_swift import read_ms_swift
from mixwise.stages.trainers.places import Places
from mixwise.stages.trainers.trl import read_trl
from mixwise.stages.trainers.unread import unread_file, unread_keys

_MOST_BYTES = 2**20
_TRAINERS = {
    "TRL": read_trl,
    "Axolotl": read_axolotl,
    "LLaMA-Factory": read_llamafactory,
    "ms-swift": read_ms_swift,
}


def read_config(path: Path, recipe_folder: Path) -> Taken:
    """What a recipe takes over from a trainer's configuration.

    Args:
        path: The configuration, a YAML file.
        recipe_folder: Folder of the recipe, which its paths are written from.

    Raises:
        RecipeError: If it cannot be read, is none of these trainers' or might be two, or names what
            a recipe cannot say, such as files of token ids.
    """
    place = printable(str(path))
    if path.is_file() and (why := unread_file(path)):
        raise RecipeError(f"{place}: {why}")
    values = load_config(path, place)
    if why := unread_keys(values):
        raise RecipeError(f"{place}: {why}")
    fitting = [name for name, fits in _fit(values).items() if fits]
    if len(fitting) != 1:
        found = f"it may be {' or '.join(fitting)}" if fitting else "it is none of them"
        raise RecipeError(
            f"{place}: must be a configuration of TRL (`model_name_or_path` with `datasets` or "
            "`dataset_name`), Axolotl (`base_model` with `datasets`), LLaMA-Factory "
            "(`model_name_or_path` with `dataset`) or ms-swift (`model` with `dataset`), but "
            f"{found}: name one that trains"
        )
    return _TRAINERS[fitting[0]](Config(values, place), Places(path.parent, recipe_folder))


def _fit(values: Mapping[str, Any]) -> dict[str, bool]:
    """Which trainers it may be of."""
    has_model = "model_name_or_path" in values
    return {
        "TRL": has_model and bool(values.keys() & {"datasets", "dataset_name"}),
        "Axolotl": "base_model" in values
        and bool(values.keys() & {"datasets", "pretraining_dataset"}),
        "LLaMA-Factory": has_model and "dataset" in values,
        "ms-swift": not has_model and {"model", "dataset"} <= values.keys(),
    }


def load_config(path: Path, place: str) -> Mapping[str, Any]:
    """The keys of a YAML file.

    Args:
        path: The file.
        place: What error texts call it.

    Raises:
        RecipeError: If it cannot be read, or holds no keys.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise ValueError(f"it is larger than {_MOST_BYTES:,} bytes")
        values = parse_yaml(content.decode())
    except (OSError, ValueError) as error:
        reason = printable(getattr(error, "strerror", None) or first_line(error))
        raise RecipeError(
            f"{place}: the configuration cannot be read ({reason}): give the path of a YAML file"
        ) from None
    if not isinstance(values, Mapping) or not all(isinstance(key, str) for key in values):
        raise RecipeError(f"{place}: must be a mapping of keys: give a trainer's configuration")
    return values
