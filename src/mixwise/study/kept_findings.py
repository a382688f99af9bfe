"""What was found in data: kept in the cache as a sealed file, found anew where that is damaged."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from mixwise.errors import DamagedError, DataError, MixwiseWarning, ResourceError, StudyError
from mixwise.files import load_sealed, replace_file, seal
from mixwise.shortages import explain_failed_write

Found = TypeVar("Found")


def load_found(
    file: Path, parse: Callable[[Mapping[str, Any]], Found], consequence: str
) -> Found | None:
    """What a file of the cache holds; None where it must be found anew, which is said.

    Args:
        file: Written by `save_found`.
        parse: Makes findings of its content.
        consequence: What happens where it is damaged, for the text of the warning.
    """
    try:
        return parse(load_sealed(file, "it is made anew"))
    except FileNotFoundError:
        return None
    except (StudyError, DamagedError, DataError, KeyError, TypeError) as error:
        warnings.warn(
            f"{file}: is damaged ({type(error).__name__}): {consequence}",
            MixwiseWarning,
            stacklevel=3,
        )
        return None


def save_found(file: Path, content: Mapping[str, Any]) -> None:
    """Write findings into the cache, whose folder is made when missing.

    Raises:
        ResourceError: If it cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResourceError(
            f"the cache: {explain_failed_write(error, file.parent)}, or set MIXWISE_CACHE to "
            "another folder"
        ) from None
    replace_file(file, seal(content))
