"""What the outputs of a base with labels are called."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from mixwise.data.hub import read_class_names
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


def read_numbered(source: TextSource, key: str) -> tuple[str, ...]:
    """Names of labels in the order in which a dataset of the hub numbers them; none elsewhere.

    Args:
        source: Of labelled records.
        key: Key path of the source in the recipe, for error texts.

    Raises:
        DataError: If the dataset cannot be had.
    """
    fields = source.parts
    assert isinstance(fields, LabelledFields | ImageFields)  # as above
    return () if source.hub is None else read_class_names(source.hub, key, fields.label)


def name_labels(
    id2label: Mapping[int, str],
    labels: Iterable[str],
    numbered: Iterable[tuple[str, ...]] = (),
) -> tuple[str, ...]:
    """Names of a base's outputs, in their order.

    They are those of its config.json; where these are numbers alone, as transformers makes them
    up, they are all names that the data have: numbers in their order, others as a dataset of the
    hub numbers them, or in the order of the alphabet.

    Args:
        id2label: Of config.json.
        labels: Of all examples; read where the configuration has no names.
        numbered: Names of each source that numbers them, in that order; read likewise.

    Raises:
        RecipeError: If the data then have more names than the base has outputs, or fewer, or are
            numbered in two ways.
    """
    named = tuple(id2label[index] for index in sorted(id2label))
    if any(name != f"LABEL_{index}" for index, name in enumerate(named)):
        return named
    found = sorted(set(labels))
    if set(found) <= set(named):  # the data name outputs as transformers does
        return named
    if all(name.isdecimal() for name in found):
        found.sort(key=int)  # `10` is behind `9`
    orders = {order for order in numbered if order}
    if orders:
        found = list(_one_order(orders, found))
    if len(found) != len(named):
        shown = _listed(found)
        raise RecipeError(
            f"`base`: config.json names no labels, and has {len(named)} outputs, but the data "
            f"have {len(found)} labels ({shown}): give a base with a head for these, its labels "
            "named in `id2label`"
        )
    return tuple(found)


def _one_order(orders: Collection[tuple[str, ...]], found: Collection[str]) -> tuple[str, ...]:
    order = min(orders)
    others = sorted({name for other in orders for name in other}.union(found) - set(order))
    if len(orders) > 1 or others:
        raise RecipeError(
            f"`base`: config.json names no labels, and one dataset numbers them as "
            f"{_listed(order)}, but others have other labels, or another order "
            f"({_listed(others) or 'of the same ones'}): name them in `id2label` of config.json"
        )
    return order


def _listed(names: Collection[str]) -> str:
    return ", ".join(f"`{printable(name, 40)}`" for name in list(names)[:_SHOWN])
