"""What the outputs of a base with labels are called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mixwise.errors import RecipeError, printable
from mixwise.records.record import Document

_SHOWN = 8


def name_labels(id2label: Mapping[int, str], documents: Iterable[Document]) -> tuple[str, ...]:
    """Names of a base's outputs, in their order.

    They are those of its config.json; where these are numbers alone, as transformers makes them
    up, they are all names that the data have, in the order of the alphabet.

    Args:
        id2label: Of config.json.
        documents: All labelled texts; read where the configuration has no names.

    Raises:
        RecipeError: If the data then have more names than the base has outputs, or fewer.
    """
    named = tuple(id2label[index] for index in sorted(id2label))
    if any(name != f"LABEL_{index}" for index, name in enumerate(named)):
        return named
    found = sorted({document.label or "" for document in documents})
    if len(found) != len(named):
        shown = ", ".join(f"`{printable(name, 40)}`" for name in found[:_SHOWN])
        raise RecipeError(
            f"`base`: config.json names no labels, and has {len(named)} outputs, but the data "
            f"have {len(found)} labels ({shown}): give a base with a head for these, its labels "
            "named in `id2label`"
        )
    return tuple(found)
