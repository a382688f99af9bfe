"""Macro F1, which is no mean over examples, as values of examples of which it is the mean.

Notation:
    y_e, ŷ_e: right and predicted label of example e, of n.  C: the labels that some y_e has.
    n_c, m_c: examples with y_e = c, with ŷ_e = c.  t_c: those with both.
    F_c = 2 t_c / (n_c + m_c), and F = mean of F_c over C.

Method:
    F is a smooth function of means over examples, so to first order it moves with the weight of an
    example as a mean does (its influence function):

        x_e = F + mean over C of  n (2 [y_e = ŷ_e = c] − F_c ([y_e = c] + [ŷ_e = c])) / (n_c + m_c)

    has the mean F exactly, and Var(x) / n is the variance of F over samples of examples (the delta
    method). So paired differences, bootstraps and noise treat F as they treat any mean. Values of a
    part are of the F of that part, which is why answers are kept until parts are joined.

Source:
    Efron 1982 (The Jackknife, the Bootstrap and Other Resampling Plans, §6): infinitesimal
    jackknife.

Departures:
    scikit-learn's ``f1_score(average="macro")`` counts a label that no example has, but that is
    predicted, with F_c = 0, so that models would be averaged over different labels; with
    ``labels`` set to C the two are equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mixwise.arrays import Array
from mixwise.errors import EvaluationError

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class LabelAnswers:
    """What a classifier answered on some examples.

    Args:
        right: y_e, whole numbers, shape ``(n_examples,)``.
        predicted: ŷ_e, the same.
    """

    right: Labels
    predicted: Labels

    @classmethod
    def join(cls, pieces: Sequence[LabelAnswers], places: npt.NDArray[np.int64]) -> LabelAnswers:
        """Answers to pieces of a set, those laid end to end that stand at these places."""
        return cls(
            np.concatenate([piece.right for piece in pieces])[places],
            np.concatenate([piece.predicted for piece in pieces])[places],
        )

    @property
    def macro_f1(self) -> Array:
        """x_e, shape ``(n_examples,)``."""
        labels, counts = np.unique(self.right, return_counts=True)
        place = np.searchsorted(labels, self.right)
        near = np.searchsorted(labels, self.predicted).clip(max=len(labels) - 1)
        is_held = labels[near] == self.predicted  # else a label that no example has
        is_right = self.right == self.predicted
        sizes = counts + np.bincount(near[is_held], minlength=len(labels))
        scores = 2 * np.bincount(place[is_right], minlength=len(labels)) / sizes
        influence = (2 * is_right - scores[place]) / sizes[place]
        influence -= np.where(is_held, scores[near] / sizes[near], 0.0)
        return np.asarray(scores.mean() + len(self.right) / len(labels) * influence)


def macro_f1_values(right: npt.ArrayLike, predicted: npt.ArrayLike) -> Array:
    """A value for each example, of which macro F1 is the mean and whose noise is its noise.

    Args:
        right: Right label of each example, whole numbers, shape ``(n_examples,)``.
        predicted: Predicted ones, the same.

    Raises:
        EvaluationError: If they are not whole numbers of one length, at least 1.

    Example:
        >>> values = macro_f1_values([0, 0, 1, 1], [0, 1, 1, 1])
        >>> round(float(values.mean()), 3)  # of F_0 = 2/3 and F_1 = 4/5
        0.733
    """
    given = np.asarray(right), np.asarray(predicted)
    shapes = {each.shape for each in given}
    if len(shapes) > 1 or given[0].ndim != 1 or not given[0].size:
        raise EvaluationError(
            "`right` and `predicted` must be one label for each of the same examples, but have "
            f"the shapes {given[0].shape} and {given[1].shape}: give two rows of one length"
        )
    for name, each in zip(("right", "predicted"), given, strict=True):
        if each.dtype.kind not in "iu":
            raise EvaluationError(
                f"`{name}` must be whole numbers, but is of type {each.dtype}: give the index of "
                "each label"
            )
    return LabelAnswers(given[0].astype(np.int64), given[1].astype(np.int64)).macro_f1
