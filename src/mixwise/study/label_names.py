"""What the outputs of a base with labels are called."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from mixwise.data.hub import read_class_names
from mixwise.data.sources import read_column
from mixwise.errors import RecipeError, printable
from mixwise.label_heads import SEPARATOR, LabelHead, LabelHeads
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
    named = _names_of(id2label)
    if _are_given(named):
        return named
    found = set(labels)
    if found <= set(named):  # the data name outputs as transformers does
        return named
    ordered = _in_order(found, numbered)
    if len(ordered) != len(named):
        raise RecipeError(
            f"`base`: config.json names no labels, and has {len(named)} outputs, but the data "
            f"have {len(ordered)} labels ({_listed(ordered)}): give a base with a head for these, "
            "its labels named in `id2label`; where domains have labels of their own, set `labels: "
            "per-domain`"
        )
    return ordered


def name_heads(
    id2label: Mapping[int, str],
    labels: Mapping[str, Iterable[str]],
    numbered: Mapping[str, Iterable[tuple[str, ...]]],
) -> LabelHeads:
    """The heads of a base whose domains have labels of their own.

    They are those that its config.json names as ``domain/label``; where it names none, a head for
    each domain, in the order of the domains, each with the labels that the domain's data have.

    Args:
        id2label: Of config.json.
        labels: Of all examples of each domain; read where the configuration has no names.
        numbered: Names of each source that numbers them, by domain; read likewise.

    Raises:
        RecipeError: If a name is not of that form, or the outputs of a domain are missing or stand
            apart; if there are fewer outputs than labels, or more.
    """
    named = _names_of(id2label)
    if _are_given(named):
        return _given_heads(named, tuple(labels))
    found = {domain: _in_order(set(own), numbered[domain]) for domain, own in labels.items()}
    heads = LabelHeads.per_domain(found)
    if len(heads.names) != len(named):
        counts = ", ".join(f"{len(own)} of `{domain}`" for domain, own in found.items())
        raise RecipeError(
            f"`base`: config.json names no labels, and has {len(named)} outputs, but with `labels: "
            f"per-domain` the data have {len(heads.names)} labels ({counts}): give a base with an "
            f"output for each, named in `id2label` as {_listed(heads.names)}"
        )
    return heads


def _given_heads(named: Sequence[str], domains: Sequence[str]) -> LabelHeads:
    """The heads that a configuration names, in the order of its outputs."""
    found: dict[str, list[str]] = {}
    last = None
    for index, name in enumerate(named):
        domain, separator, label = name.partition(SEPARATOR)
        if domain not in domains or not (separator and label):
            raise RecipeError(
                f"`base`: with `labels: per-domain` config.json must name each output as "
                f"`domain/label`, of the domains {_listed(domains)}, but output {index} is "
                f"`{printable(name, 80)}`: correct `id2label`"
            )
        if domain in found and domain != last:
            raise RecipeError(
                f"`base`: the outputs of one domain must stand beside each other, but output "
                f"{index}, `{printable(name, 80)}`, stands apart from the others of `{domain}`: "
                "sort `id2label` of config.json, and the head with it"
            )
        found.setdefault(domain, []).append(label)
        last = domain
    missing = [domain for domain in domains if domain not in found]
    if missing:
        raise RecipeError(
            f"`base`: with `labels: per-domain` config.json must name outputs of every domain, but "
            f"names none of `{missing[0]}`: add them to `id2label`, and to the head"
        )
    return LabelHeads.per_domain(found)


def choose_head(heads: LabelHeads, labels: Iterable[str], key: str) -> LabelHead:
    """The head that an evaluation set outside the domains is read with, by its labels.

    Args:
        heads: Those of the domains.
        labels: Of all examples of the set.
        key: Key path of the set in the recipe, for error texts.

    Raises:
        RecipeError: If no head has all of them, or several have.
    """
    found = sorted(set(labels))
    fitting = heads.holding(found)
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        choices = ", ".join(f"`{head.domain}`" for head in fitting)
        raise RecipeError(
            f"`{key}.head`: the labels of this set ({_listed(found)}) are those of several heads: "
            f"name the one that it is read with: {choices}"
        )
    raise RecipeError(
        f"`{key}.head`: no domain has all labels of this set ({_listed(found)}), and it must be "
        "read with the head of one: correct its labels, or name the head in `head` to see the "
        "first row that does not fit"
    )


def _names_of(id2label: Mapping[int, str]) -> tuple[str, ...]:
    return tuple(id2label[index] for index in sorted(id2label))


def _are_given(named: Sequence[str]) -> bool:
    """Whether names are more than the numbers that transformers makes up."""
    return any(name != f"LABEL_{index}" for index, name in enumerate(named))


def _in_order(found: set[str], numbered: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """Labels in the order of numbers, of a dataset of the hub or of the alphabet."""
    ordered = sorted(found)
    if all(name.isdecimal() for name in ordered):
        ordered.sort(key=int)  # `10` is behind `9`
    orders = {order for order in numbered if order}
    return _one_order(orders, ordered) if orders else tuple(ordered)


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
