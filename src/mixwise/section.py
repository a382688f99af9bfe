"""What every part of a recipe is: immutable, and strict about what it takes."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

from mixwise.errors import holds_control_characters, shown


class Section(BaseModel):
    """A part of the recipe: immutable, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_numbers(cls, value: object, info: ValidationInfo) -> object:
        """YAML reads `yes` and `on` as true, and pydantic would read that as 1."""
        wanted = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, bool) and bool not in (wanted, *get_args(wanted)):
            raise ValueError(f"input should be a valid number or text, but got {value}: change it")
        return value

    @field_validator("*", mode="after")
    @classmethod
    def _no_control_characters(cls, value: object, info: ValidationInfo) -> object:
        """Names and paths end up in messages and file names; separators and stop texts do not."""
        texts = value if isinstance(value, tuple) else (value,)
        if info.field_name in ("separator", "stop"):
            return value
        for text in texts:
            if isinstance(text, str | Path) and holds_control_characters(str(text)):
                raise ValueError(
                    "must hold no control characters or line ends, but got "
                    f"{shown(str(text))}: rename what it names"
                )
        return value
