"""Cut an evaluation into parts that run side by side, and put their measurements together again.

Notation:
    p: a part.  w_e: weight of example e.  W_p: sum of the weights of the examples of p.

Method:
    A metric is the weighted mean of its examples, so the whole is Σ W_p x_p / Σ W_p, and the same
    holds for its derivatives; examples go back to the places that they have in the set. Macro F1 is
    no such mean, and is computed anew from the answers of all parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mixwise.arrays import Array
from mixwise.macro_f1 import LabelAnswers
from mixwise.observation import Derivatives, Measurement
from mixwise.scorer import Part


def split(part: Part, n_pieces: int) -> tuple[Part, ...]:
    """Cut a part into pieces of nearly the same size.

    Args:
        part: What to cut.
        n_pieces: How many; with 1 the part stays as it is.

    Example:
        >>> split(Part(0, 1, 2), 2)
        (Part(first=0, last=1, of=4), Part(first=1, last=2, of=4))
    """
    width = part.last - part.first
    start = part.first * n_pieces
    return tuple(
        Part(start + k * width, start + (k + 1) * width, part.of * n_pieces)
        for k in range(n_pieces)
    )


def join(
    part: Part,
    pieces: Mapping[Part, Sequence[Measurement]],
    n_examples: Mapping[str, int],
) -> tuple[Measurement, ...]:
    """Put the measurements of pieces together.

    Args:
        part: What the pieces make up.
        pieces: Measurements by piece, the same metrics in each.
        n_examples: Number of examples of every evaluation set, by its name.

    Returns:
        Measurements of the part, its examples in the order of `Part.examples`.
    """
    if part in pieces:
        return tuple(pieces[part])
    names = [m.metric for m in next(iter(pieces.values()))]
    rows = [{m.metric: m for m in measured} for measured in pieces.values()]
    return tuple(
        _join_metric(
            [row[name] for row in rows],
            _places(part, list(pieces), n_examples[name.rpartition("/")[0]]),
        )
        for name in names
    )


def _places(part: Part, pieces: Sequence[Part], n_examples: int) -> np.ndarray:
    """For each example of the part, its place in the pieces' examples laid end to end."""
    laid = np.concatenate([piece.examples(n_examples) for piece in pieces])
    place = np.empty(n_examples, dtype=np.int64)
    place[laid] = np.arange(len(laid))
    return place[part.examples(n_examples)]


def _join_metric(measured: Sequence[Measurement], places: np.ndarray) -> Measurement:
    answers = [m.answers for m in measured if m.answers is not None]
    if answers:
        assert len(answers) == len(measured)  # else places are of other examples
        return Measurement.macro_f1(measured[0].metric, LabelAnswers.join(answers, places))
    return Measurement(
        measured[0].metric,
        np.concatenate([m.examples for m in measured])[places],
        np.concatenate([m.example_weights for m in measured])[places],
        _join_derivatives(measured, places),
    )


def _join_derivatives(measured: Sequence[Measurement], places: np.ndarray) -> Derivatives | None:
    parts = [m.derivatives for m in measured if m.derivatives is not None]
    if len(parts) < len(measured):
        return None
    part_weights = [float(m.example_weights.sum()) for m in measured]

    def mean(values: Sequence[Array | None]) -> Array | None:
        known = [value for value in values if value is not None]
        return np.average(known, axis=0, weights=part_weights) if known else None

    def laid(values: Sequence[Array | None]) -> Array | None:
        known = [value for value in values if value is not None]
        return np.concatenate(known)[places] if known else None

    return Derivatives(
        slopes=np.average([d.slopes for d in parts], axis=0, weights=part_weights),
        hessian=mean([d.hessian for d in parts]),
        example_slopes=laid([d.example_slopes for d in parts]),
        example_hessians=laid([d.example_hessians for d in parts]),
    )
