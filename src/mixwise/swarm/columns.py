"""Which columns of a table are shares, and which way its metrics improve."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from mixwise.arrays import Array
from mixwise.errors import DataError, nearest, printable
from mixwise.objective import Direction
from mixwise.swarm.table import Asked

TOLERANCE = 0.02  # of the sum of a run's shares: they may be rounded
_PERCENT = 100.0
_WORDS: Mapping[Direction, tuple[str, ...]] = {
    "min": ("loss", "nll", "bpb", "bits", "ppl", "perplexity", "error", "err", "ce", "entropy"),
    "max": ("acc", "accuracy", "f1", "exact", "em", "score", "reward", "pass", "win", "bleu"),
}
_OF_ERRORS = frozenset(("stderr", "std", "stdev", "sd", "se", "sem", "var", "variance"))


def share_columns(numbers: Mapping[str, Array], groups: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The columns whose rows add up to 1 or to 100.

    Args:
        numbers: Columns that hold numbers alone.
        groups: The columns of each file: one file's may be the shares; then all of them together.

    Raises:
        DataError: If no group of columns adds up, or one does with and without some column.
    """
    for names in [*groups, list(numbers)]:
        own = [n for n in names if n in numbers and (numbers[n] >= 0).all() and not is_score(n)]
        for limit in (1.0, _PERCENT):
            chosen = [name for name in own if (numbers[name] <= limit * (1 + TOLERANCE)).all()]
            if len(chosen) > 1 and is_whole(_sums(numbers, chosen) / limit):
                _require_shares({name: numbers[name] / limit for name in chosen})
                return tuple(chosen)
    raise DataError(
        "no columns were found whose rows add up to 1: name those of the domains' shares by "
        "`--domains a,b,c`"
    )


def _require_shares(chosen: Mapping[str, Array]) -> None:
    """Refuse small numbers that are no shares, as a learning rate or a seed of 0.

    They are told by that sums are as near to 1 without them. A share that all runs have alike, and
    without which sums are further from 1, is a share that was fixed.

    Raises:
        DataError: Names the column, and how the others are named.
    """
    total = _sums(chosen, list(chosen))
    doubtful = []
    for name, column in chosen.items():
        without = total - column
        is_nearer = np.abs(without - 1).mean() <= np.abs(total - 1).mean()
        if is_whole(without) and is_nearer:
            doubtful.append(name)
    if doubtful:
        others = ",".join(printable(name, 80) for name in chosen if name not in doubtful)
        raise DataError(
            f"the column `{printable(doubtful[0], 80)}` may be a share or not, as rows add up to 1 "
            f"with and without it: name the shares, such as `--domains {others}`"
        )


def normalised(
    numbers: Mapping[str, Array], domains: Sequence[str], places: Sequence[str]
) -> tuple[Array, Array]:
    """Shares that add up to 1, ``(n, n_domains)``, and their sums as they stood, ``(n,)``.

    Args:
        numbers: Columns that hold numbers alone.
        domains: Those of the shares.
        places: Where each run stands, for the error text.

    Raises:
        DataError: If a column is missing or holds something else, or a row adds up to neither 1
            nor 100.
    """
    missing = [name for name in domains if name not in numbers]
    if missing:
        raise DataError(
            f"the column `{printable(missing[0], 80)}` is missing or does not hold numbers alone: "
            f"{nearest(missing[0], numbers)}"
        )
    shares = np.stack([numbers[name] for name in domains], axis=1)
    sums = shares.sum(axis=1)
    limit = _PERCENT if is_whole(sums / _PERCENT) else 1.0
    sums = sums / limit
    if (shares < 0).any() or not is_whole(sums):
        odd = int(np.abs(np.where((shares < 0).any(axis=1), np.inf, sums - 1)).argmax())
        raise DataError(
            f"{places[odd]}: shares must be at least 0 and add up to 1 (or to 100), but they are "
            f"{', '.join(f'{value:g}' for value in shares[odd])}: repair the row, or name the "
            "columns of the shares by `--domains`"
        )
    return shares / (limit * sums)[:, None], sums


def is_whole(sums: Array) -> bool:
    """Whether all sums are 1, but for rounding."""
    return bool((np.abs(sums - 1) <= TOLERANCE).all())


def directions(asked: Asked, names: Sequence[str]) -> dict[str, Direction]:
    """The metrics of the objective, and the direction of each.

    Args:
        asked: What the user says.
        names: Columns of numbers that are neither shares nor keys.

    Raises:
        DataError: If a metric is missing, there is none, or its name does not tell its direction.
    """
    wanted = dict(asked.metrics) or dict.fromkeys(names)
    if not wanted:
        raise DataError("no column of scores is left beside the shares: add one")
    found: dict[str, Direction] = {}
    for name, said in wanted.items():
        if name not in names:
            raise DataError(
                f"the metric `{printable(name, 80)}` is no column of numbers: "
                f"{nearest(name, names)}"
            )
        told = said or _direction(name)
        if told is None:
            raise DataError(
                f"the name of the metric `{printable(name, 80)}` does not tell whether less or "
                f"more of it is better: write `--metric {printable(name, 80)}:min` or `:max`, or "
                "name the metrics of the objective alone"
            )
        found[name] = told
    return found


def _direction(name: str) -> Direction | None:
    """By the last word of the name that is one of the table's; an error of a score has none."""
    words = _words(name)
    if _OF_ERRORS.intersection(words):
        return None
    for word in reversed(words):
        for way, known in _WORDS.items():
            if word in known:
                return way
    return None


def is_score(name: str) -> bool:
    """Whether a word of a column's name says that it is a score, or the error of one."""
    words = set(_words(name))
    return any(not words.isdisjoint(known) for known in (*_WORDS.values(), _OF_ERRORS))


def _words(name: str) -> list[str]:
    return re.split(r"[^a-z0-9]+", name.lower())


def _sums(numbers: Mapping[str, Array], names: Sequence[str]) -> Array:
    return np.asarray(sum(numbers[name] for name in names))
