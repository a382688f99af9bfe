"""What is asked of a problem: horizon, budget, objective, search, and the runs that check it.

The sections are those of a recipe file, as far as they mean something where functions of the user
train and evaluate.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from mixwise.errors import RecipeError, first_line, printable
from mixwise.recipe.parsing import explain
from mixwise.recipe.sections import (
    Calibration,
    Final,
    Merge,
    ObjectiveChoice,
    Search,
    Seed,
    Validation,
    fill_verified,
)
from mixwise.recipe.tracking import Tracking
from mixwise.section import Section

Examples = Annotated[int, Field(gt=0, le=10**15)]


class ShortRuns(Section):
    """How far experts are trained; by default what the budget pays for."""

    horizon_examples: Examples | None = None


class Answer(Section):
    """What stands in for a trained model: merged weights, averaged predictions, or both."""

    answer: Literal["auto", "merged", "predictions", "both"] = "auto"


class Seeds(Section):
    """How runs are trained: all else is the problem's own."""

    seed: Seed = 0


class Store(Section):
    """How task vectors are kept."""

    task_vectors: Literal["float32", "bfloat16", "int8"] = "float32"


class Settings(Section):
    """The keys that a study of a problem has; those of a recipe of the same names mean the same.

    ``horizon_examples``: training examples of the final run, the unit of all horizons and prices.
    """

    horizon_examples: Examples
    budget: Annotated[float, Field(gt=0, le=10**4)] = 0.25
    verify: Annotated[bool, Field(strict=True)] = False
    training: Seeds = Seeds()
    experts: ShortRuns = ShortRuns()
    proxy: Answer = Answer()
    objective: ObjectiveChoice = ObjectiveChoice()
    merge: Merge = Merge()
    search: Search = Search()
    calibration: Calibration = Calibration()
    validation: Validation = Validation()
    final: Final = Final()
    engine: Store = Store()
    tracking: Tracking = Tracking()

    @model_validator(mode="before")
    @classmethod
    def _verified(cls, values: Any) -> Any:
        """Fill in what ``verify`` asks for, wherever the settings say nothing themselves."""
        is_asked = isinstance(values, Mapping) and values.get("verify") is True
        return fill_verified(values) if is_asked else values

    @model_validator(mode="after")
    def _starts_from_the_base(self) -> Self:
        if self.final.start != "base":
            raise ValueError(
                "`final.start`: a function of yours trains from the base, so merged cannot be: "
                "leave it out"
            )
        return self


def parse_settings(values: Mapping[str, Any], origin: str) -> Settings:
    """Check the keys of a study.

    Args:
        values: The keys, nested as in a recipe.
        origin: What error texts call them.

    Raises:
        RecipeError: All problems, one a line.
    """
    if not isinstance(values, Mapping):
        raise RecipeError(f"{origin}: must be a mapping of keys, but are {printable(str(values))}")
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise RecipeError(*explain(error, origin, Settings)) from None


def read_settings(file: Path) -> Settings:
    """The keys that a study's folder holds.

    Raises:
        RecipeError: If they cannot be read or break a rule; all problems, one a line.
    """
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise RecipeError(f"{file}: cannot be read ({first_line(error)}): restore it") from None
    if not isinstance(values, dict):
        raise RecipeError(f"{file}: must hold the keys of a study: restore it")
    return parse_settings(values, str(file))
