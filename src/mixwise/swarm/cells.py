"""Cells of a table as numbers, and as what tells its rows apart."""

from __future__ import annotations

from typing import Any

import numpy as np

_GAPS = frozenset(("", "nan", "inf", "-inf", "na", "n/a", "none", "null"))


def as_number(value: Any) -> float | None:
    """A finite number, or a text of one."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if np.isfinite(number) else None


def is_number_or_gap(value: Any) -> bool:
    """Whether a value is a number, finite or not, or none at all."""
    if value is None or as_number(value) is not None:
        return True
    return isinstance(value, float | str) and str(value).strip().lower() in _GAPS


def as_key(value: Any) -> str:
    """A value as text, in which 3, 3.0 and "3" are one; empty for none and for NaN."""
    text = "" if value is None else str(value).strip()
    if text.lower() == "nan":
        return ""
    number = as_number(value)
    if number is None:
        return text
    if text.isdecimal():  # long ones keep all of their digits
        return str(int(text))
    return str(int(number)) if number.is_integer() else f"{number:.12g}"
