"""A trainer's configuration, whose keys are taken one by one, so that the rest can be told."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mixwise.errors import RecipeError, printable, shown

_UNSET: tuple[Any, ...] = (None, "", [], {})


@dataclass(frozen=True, slots=True)
class TakenDomain:
    """A dataset of the configuration: its name, and the keys of the domain that it becomes."""

    name: str
    keys: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Taken:
    """What a recipe takes over.

    Args:
        trainer: Name of the trainer.
        domains: Its datasets.
        keys: Other keys of the recipe, those of sections joined by a dot.
        left_out: What is not taken over: key and value, and why where it is not plain.
    """

    trainer: str
    domains: tuple[TakenDomain, ...]
    keys: Mapping[str, Any]
    left_out: tuple[str, ...]


@dataclass(slots=True)
class Config:
    """A mapping of a configuration, and which of its keys were taken.

    Args:
        values: The mapping.
        place: What error texts call it: the path, and the key that it stands at.
        prefix: That key with a dot, for what is left.
    """

    values: Mapping[str, Any]
    place: str
    prefix: str = ""
    taken: set[str] = field(default_factory=set)

    def take(self, key: str) -> Any:
        """A value, whatever it is; None where it is not set."""
        self.taken.add(key)
        value = self.values.get(key)
        return None if value in _UNSET else value

    def take_text(self, key: str) -> str | None:
        """A text."""
        value = self.take(key)
        if value is None or isinstance(value, str):
            return value
        raise self.refused(key, "must be a text")

    def take_number(self, key: str) -> float | None:
        """A number; YAML reads 2e-5 as a text."""
        value = self.take(key)
        if value is None:
            return None
        try:
            number = float(value) if not isinstance(value, bool) else None
        except (TypeError, ValueError, OverflowError):
            number = None
        if number is None or not math.isfinite(number):
            raise self.refused(key, "must be a number")
        return number

    def take_count(self, key: str) -> int | None:
        """A whole number."""
        number = self.take_number(key)
        if number is not None and number != int(number):
            raise self.refused(key, "must be a whole number")
        return None if number is None else int(number)

    def take_texts(self, key: str) -> list[str]:
        """A text or a list of them."""
        value = self.take(key)
        texts = [] if value is None else value if isinstance(value, list) else [value]
        if not all(isinstance(text, str) for text in texts):
            raise self.refused(key, "must be a text or a list of texts")
        return texts

    def take_mapping(self, key: str) -> Mapping[str, Any]:
        """A mapping; an empty one where it is not set."""
        value = self.take(key)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise self.refused(key, "must be a mapping")
        return value

    def refused(self, key: str, rule: str) -> RecipeError:
        """The error of a value that breaks a rule."""
        return RecipeError(
            f"{self.place}: `{self.prefix}{key}` {rule}, but got {shown(self.values.get(key))}: "
            "change it, or write this domain by hand"
        )

    def left(self) -> Iterator[str]:
        """Keys and values that were not taken."""
        for key, value in self.values.items():
            if key not in self.taken:
                yield f"{printable(f'{self.prefix}{key}', 80)}: {shown(value)}"
