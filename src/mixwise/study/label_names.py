"""What the outputs of a base with labels are called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from mixwise.data.sources import read_column
from mixwise.errors import RecipeError, printable
from mixwise.recipe import TextSource
from mixwise.records.image import ImageFields
from mixwise.records.labelled import LabelledFields, read_label
from mixwise.records.row import Wanted

_SHOWN = 8


def read_labels(source: TextSource, folder: Path, key: str) -> Iterator[str]:
    """The label of every row of a source; texts and images are not read.

    Args:
        source: Of labelled records.
        folder: Folder that relative paths start from.
        key: Key path of the source in the recipe, for error texts.

    Raises:
        DataError: If a file cannot be read, or a row has no label.
    """
    fields = source.parts
    assert isinstance(fields, LabelledFields | ImageFields)  # tasks with labels read no others
    wanted = Wanted(fields.label, f"{key}.fields.label")
    return (read_label(row, wanted) for row in read_column(source, folder, key, wanted))


def name_labels(id2label: Mapping[int, str], labels: Iterable[str]) -> tuple[str, ...]:
    """Names of a base's outputs, in their order.

    They are those of its config.json; where these are numbers alone, as transformers makes them
    up, they are all names that the data have: numbers in their order, others in that of the
    alphabet.

    Args:
        id2label: Of config.json.
        labels: Of all examples; read where the configuration has no names.

    Raises:
        RecipeError: If the data then have more names than the base has outputs, or fewer.
    """
    named = tuple(id2label[index] for index in sorted(id2label))
    if any(name != f"LABEL_{index}" for index, name in enumerate(named)):
        return named
    found = sorted(set(labels))
    if set(found) <= set(named):  # the data name outputs as transformers does
        return named
    if all(name.isdecimal() for name in found):
        found.sort(key=int)  # `10` is behind `9`
    if len(found) != len(named):
        shown = ", ".join(f"`{printable(name, 40)}`" for name in found[:_SHOWN])
        raise RecipeError(
            f"`base`: config.json names no labels, and has {len(named)} outputs, but the data "
            f"have {len(found)} labels ({shown}): give a base with a head for these, its labels "
            "named in `id2label`"
        )
    return tuple(found)
