"""Rank and scale of each module's factors, out of an adapter's configuration.

Notation:
    r, α: rank and ``lora_alpha`` of a module.  s: what BA is multiplied with.

Method:
    s = α/r, or α/√r with ``use_rslora``. A module's r and α are those of the first key of
    ``rank_pattern`` and ``alpha_pattern``, a regular expression, that the end of its name matches;
    else the adapter's own.

Source:
    Hu et al. 2021 (arXiv 2106.09685); Kalajdzievski 2023, rsLoRA (arXiv 2312.03732);
    ``get_pattern_key`` in PEFT 0.21.2, ``peft/utils/other.py``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from mixwise.errors import CheckpointError

_Value = TypeVar("_Value", int, float)


class LoraScales:
    """Rank and scale of every module of one adapter.

    Args:
        config: Content of ``adapter_config.json``.
        folder: The adapter's folder, for errors.

    Raises:
        CheckpointError: If ranks or alphas are missing or not positive numbers, or a pattern is no
            regular expression.

    Example:
        >>> config = {"r": 4, "lora_alpha": 8, "rank_pattern": {"q_proj": 16}}
        >>> scales = LoraScales(config, Path("adapter"))
        >>> scales.scale("layers.0.q_proj"), scales.scale("layers.0.v_proj")
        (0.5, 2.0)
    """

    def __init__(self, config: Mapping[str, Any], folder: Path) -> None:
        self._folder = folder
        self._rank = self._rank_of(config.get("r"), "r")
        self._alpha = self._alpha_of(config.get("lora_alpha"), "lora_alpha")
        self._ranks = {
            pattern: self._rank_of(value, f"rank_pattern.{pattern}")
            for pattern, value in self._patterns(config, "rank_pattern").items()
        }
        self._alphas = {
            pattern: self._alpha_of(value, f"alpha_pattern.{pattern}")
            for pattern, value in self._patterns(config, "alpha_pattern").items()
        }
        self._has_root = bool(config.get("use_rslora"))

    def rank(self, module: str) -> int:
        """R of a module, by its name in the base model."""
        return _first_match(self._ranks, module, self._rank)

    def scale(self, module: str) -> float:
        """S of a module, by its name in the base model."""
        rank = self.rank(module)
        alpha = _first_match(self._alphas, module, self._alpha)
        return alpha / (math.sqrt(rank) if self._has_root else rank)

    def _patterns(self, config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        patterns = config.get(key) or {}
        if not isinstance(patterns, dict):
            raise self._error(key, "an object", patterns)
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error:
                rule = "an object whose keys are regular expressions"
                raise self._error(key, rule, pattern) from None
        return patterns

    def _rank_of(self, value: object, key: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise self._error(key, "a whole number above 0", value)
        return value

    def _alpha_of(self, value: object, key: str) -> float:
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not 0 < value < math.inf
        ):
            raise self._error(key, "a number above 0", value)
        return float(value)

    def _error(self, key: str, rule: str, value: object) -> CheckpointError:
        return CheckpointError(
            f"{self._folder}: `{key}` of adapter_config.json must be {rule}, but is {value!r}: "
            "save the adapter again with PEFT"
        )


def _first_match(patterns: Mapping[str, _Value], module: str, default: _Value) -> _Value:
    """Value of the first pattern that matches a module's name, whole or from a dot on."""
    for pattern, value in patterns.items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return value
    return default
