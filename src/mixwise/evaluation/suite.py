"""All evaluation sets of a study: one model in, every measurement out.

Method:
    `EvaluationSuite` is a value: it goes to other processes. `PreparedSuite` is the same suite at
    work on one device. The rows of likelihood sets it reads itself, whose tensors it makes once and
    keeps for every candidate; other sets are handed the model.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from mixwise.errors import EvaluationError, MixwiseWarning
from mixwise.evaluation.likelihood.prefixes import (
    SharedBatch,
    share_prefixes,
    shared_nats,
    why_unshared,
)
from mixwise.evaluation.likelihood.rows import (
    Batch,
    Indices,
    Row,
    batch_nats,
    make_batches,
    token_nats,
)
from mixwise.evaluation.likelihood.sets import LikelihoodSet, in_row_order
from mixwise.evaluation.sets import WHOLE, EvaluationSet, WritingSet
from mixwise.observation import Measurement
from mixwise.scorer import Part

if TYPE_CHECKING:
    from mixwise.arrays import Array

_FORMAT = 2  # of the measurements; raise it when a metric changes its meaning or its last digits


@dataclass(frozen=True, slots=True, eq=False)
class EvaluationSuite:
    """The sets that every model of a study is measured on.

    Args:
        sets: Sets of any kinds, with different names.
        batch_sequences: Sequences per forward pass.
        apart: Lengths that no batch spans: the model reads longer rows in another way.
    """

    sets: tuple[EvaluationSet, ...]
    batch_sequences: int
    apart: tuple[int, ...] = ()

    @property
    def likelihood_sets(self) -> tuple[LikelihoodSet, ...]:
        """The sets whose rows mixwise reads itself."""
        return tuple(chosen for chosen in self.sets if isinstance(chosen, LikelihoodSet))

    @property
    def adds_up(self) -> bool:
        """Whether all metrics are means over examples, which parts of a set make up."""
        return all(metric.is_mean for chosen in self.sets for metric in chosen.metrics)

    @property
    def needs_whole_model(self) -> bool:
        """Whether a set is handed the model, so that it has to be there as a whole."""
        return len(self.likelihood_sets) < len(self.sets)

    @property
    def n_tokens(self) -> int:
        """Tokens of all sets: what is read by a model that reads every prompt with each choice."""
        return sum(chosen.n_tokens for chosen in self.sets)

    @property
    def fingerprint(self) -> str:
        """Hash of all sets and of how they are measured."""
        apart = [f"apart {length}" for length in self.apart]
        parts = "\0".join([str(_FORMAT), *(chosen.fingerprint for chosen in self.sets), *apart])
        return hashlib.blake2b(parts.encode(), digest_size=16).hexdigest()

    def evaluate(self, model: Any) -> tuple[Measurement, ...]:
        """Measure every metric of every set, once.

        Args:
            model: Causal language model in evaluation mode.

        Raises:
            EvaluationError: If a value is not finite; names the metric.
        """
        return PreparedSuite.of(self, model).evaluate(model)


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """How the rows of one part of a set are read: some whole, some after a shared prompt."""

    whole: tuple[Batch, ...]
    shared: tuple[SharedBatch, ...]

    @property
    def n_tokens(self) -> int:
        """Tokens that are read, padding left out."""
        return sum(b.n_tokens for b in self.whole) + sum(b.n_tokens for b in self.shared)

    @torch.inference_mode()
    def nats(self, model: Any) -> Array:
        """Negative log-likelihood of every row, shape ``(n_rows,)``."""
        return in_row_order(self._passes(model))

    def _passes(self, model: Any) -> Iterator[tuple[Indices, Array]]:
        for batch in self.whole:
            yield batch.rows, batch_nats(model, batch).cpu().numpy()
        for shared in self.shared:
            yield shared.rest.rows, shared_nats(model, shared).cpu().numpy()


def explain_unshared(suite: EvaluationSuite, model: Any) -> str | None:
    """One line on prompts that are read anew with every choice; None where nothing is lost.

    Args:
        suite: The sets.
        model: The model that they measure.
    """
    gaining = [chosen.name for chosen in suite.likelihood_sets if _gains(chosen, suite)]
    reason = why_unshared(model) if gaining else None
    if reason is None:
        return None
    names = ", ".join(f"`{name}`" for name in gaining)
    return (
        f"evaluation of {names}: prompts are read anew with every choice, because {reason}: the "
        "scores are right all the same, but take longer; nothing needs to be done"
    )


def _gains(chosen: LikelihoodSet, suite: EvaluationSuite) -> bool:
    row_examples, rows = chosen.differentiable().row_examples, chosen.rows()
    if rows[0].label is not None:
        return False
    return bool(share_prefixes(rows, row_examples, suite.batch_sequences, "cpu"))


class PreparedSuite:
    """A suite on a device, for one model whose tensors change.

    Args:
        suite: The sets.
        device: Where the model is.
        share_prefixes: Whether prompts that several choices share are read once; only for a model
            that `why_unshared` finds no reason against.
    """

    def __init__(
        self, suite: EvaluationSuite, device: torch.device | str, *, share_prefixes: bool = False
    ) -> None:
        self.suite = suite
        self.device = torch.device(device)
        self._shares_prefixes = share_prefixes
        self._batches: dict[tuple[str, Part], tuple[Batch, ...]] = {}
        self._readings: dict[tuple[str, Part], Reading] = {}

    @classmethod
    def of(cls, suite: EvaluationSuite, model: Any) -> PreparedSuite:
        """Prepare a suite for a model: on its device, with prompts shared if it can.

        Warns:
            MixwiseWarning: If the model cannot, and a set of the suite would have gained by it.
        """
        text = explain_unshared(suite, model)
        if text is not None:
            warnings.warn(text, MixwiseWarning, stacklevel=2)
        device = next(model.parameters()).device
        return cls(suite, device, share_prefixes=why_unshared(model) is None)

    def evaluate(self, model: Any, part: Part = WHOLE) -> tuple[Measurement, ...]:
        """Measure every metric of every set.

        Args:
            model: Causal language model in evaluation mode, on the device.
            part: Which examples.

        Returns:
            Measurements whose examples stand in the part's order.

        Raises:
            EvaluationError: If a value is not finite; names the metric.
        """
        return tuple(m for chosen in self.suite.sets for m in self.measure(model, chosen, part))

    def measure(
        self, model: Any, chosen: EvaluationSet, part: Part = WHOLE
    ) -> tuple[Measurement, ...]:
        """Measure every metric of one set of the suite; see `evaluate`."""
        if isinstance(chosen, LikelihoodSet):
            nats = self.reading(chosen, part).nats(model)
            return chosen.measure(nats, part.examples(chosen.n_examples))
        with torch.inference_mode():
            measured = chosen.evaluate(model, part)
        _require_promised(chosen, measured, part)
        return measured

    def measure_candidates(
        self, read: Callable[[Batch], Array], names: Sequence[str], part: Part = WHOLE
    ) -> tuple[tuple[Measurement, ...], ...]:
        """Measure several models whose rows are read together; only of likelihood sets.

        Args:
            read: Negative log-likelihood of the rows of a batch under each model, shape
                ``(n_candidates, B)``; called with the batches of one set after the other.
            names: What error texts call the candidates.
            part: Which examples.

        Raises:
            EvaluationError: If a set is no likelihood set, or a value is not finite; names the set,
                or the metric and the candidate.
        """
        for chosen in self.suite.sets:
            if not isinstance(chosen, LikelihoodSet):
                raise EvaluationError(
                    f"`{chosen.name}` is given the whole model, so it cannot be measured layer by "
                    "layer or for several merges at once: set `evaluation.placement` to device or "
                    "split, or leave it out"
                )
        measured: list[list[Measurement]] = [[] for _ in names]
        for chosen in self.suite.likelihood_sets:
            nats = in_row_order((batch.rows, read(batch)) for batch in self.batches(chosen, part))
            examples = part.examples(chosen.n_examples)
            for name, own, gathered in zip(names, nats, measured, strict=True):
                try:
                    gathered += chosen.measure(own, examples)
                except EvaluationError as error:
                    raise EvaluationError(f"{name}: {error}") from None
        return tuple(map(tuple, measured))

    @torch.inference_mode()
    def token_log_likelihoods(
        self, model: Any, names: Sequence[str] | None = None
    ) -> dict[str, npt.NDArray[np.float32]]:
        """Log-likelihood of every scored token of likelihood sets, row after row, in nats.

        Args:
            model: Causal language model in evaluation mode, on the device.
            names: Of the sets; None for all.
        """
        found = {}
        for chosen in self.suite.likelihood_sets:
            if names is not None and chosen.name not in names:
                continue
            pieces: dict[int, npt.NDArray[np.float32]] = {}
            for batch in self.batches(chosen):
                likelihoods = -token_nats(model, batch).float().cpu().numpy()
                ends = batch.scored.sum(dim=1).cumsum(dim=0)[:-1].tolist()
                pieces |= dict(zip(batch.rows.tolist(), np.split(likelihoods, ends), strict=True))
            found[chosen.name] = np.concatenate([pieces[row] for row in sorted(pieces)])
        return found

    def all_batches(self, part: Part = WHOLE) -> tuple[Batch, ...]:
        """The batches of all likelihood sets, one set after the other; see `batches`."""
        sets = self.suite.likelihood_sets
        return tuple(batch for chosen in sets for batch in self.batches(chosen, part))

    def batches(self, chosen: LikelihoodSet, part: Part = WHOLE) -> tuple[Batch, ...]:
        """All rows of one set, read whole: what gradients need."""
        key = (chosen.name, part)
        if key not in self._batches:
            rows = chosen.rows(part.examples(chosen.n_examples))
            self._batches[key] = self._make_batches(rows)
        return self._batches[key]

    def n_tokens(self, part: Part = WHOLE, measured: Sequence[Measurement] = ()) -> int:
        """Tokens that one evaluation reads and writes, padding left out; see `n_tokens_of`."""
        return sum(self.n_tokens_of(chosen, part, measured) for chosen in self.suite.sets)

    def n_tokens_of(
        self, chosen: EvaluationSet, part: Part = WHOLE, measured: Sequence[Measurement] = ()
    ) -> int:
        """Tokens of one set that one evaluation reads and writes, padding left out.

        Args:
            chosen: The set.
            part: Which examples.
            measured: What the evaluation found, which tells how much was written; without it the
                limit is taken.
        """
        if isinstance(chosen, LikelihoodSet):
            return self.reading(chosen, part).n_tokens
        if measured and isinstance(chosen, WritingSet):
            return chosen.spent_tokens(measured, part)
        n_examples = len(part.examples(chosen.n_examples))
        return round(chosen.n_tokens * n_examples / chosen.n_examples)

    def reading(self, chosen: LikelihoodSet, part: Part = WHOLE) -> Reading:
        """How the rows of one set are read."""
        key = (chosen.name, part)
        if key not in self._readings:
            self._readings[key] = self._plan(chosen, part)
        return self._readings[key]

    def _plan(self, chosen: LikelihoodSet, part: Part) -> Reading:
        examples = part.examples(chosen.n_examples)
        rows = chosen.rows(examples)
        left = np.arange(len(rows))
        shared: tuple[SharedBatch, ...] = ()
        if self._shares_prefixes and rows[0].label is None:
            row_examples = chosen.differentiable(examples).row_examples
            size = self.suite.batch_sequences
            shared = share_prefixes(rows, row_examples, size, self.device)
            for batch in shared:
                left = np.setdiff1d(left, batch.rest.rows)
        if not shared:
            return Reading(self.batches(chosen, part), ())
        return Reading(self._make_batches(rows, left), shared)

    def _make_batches(
        self, rows: Sequence[Row], chosen: Indices | None = None
    ) -> tuple[Batch, ...]:
        suite = self.suite
        return make_batches(rows, suite.batch_sequences, self.device, chosen, apart=suite.apart)


def _require_promised(chosen: EvaluationSet, measured: Sequence[Measurement], part: Part) -> None:
    """Refuse measurements that are not those that a set has named."""
    promised = [metric.name for metric in chosen.metrics]
    found = [measurement.metric for measurement in measured]
    if found != promised:
        raise EvaluationError(
            f"`{chosen.name}` must measure {', '.join(promised)}, but its `evaluate` returned "
            f"{', '.join(found) or 'nothing'}: mend the set"
        )
    n_examples = len(part.examples(chosen.n_examples))
    for measurement in measured:
        if measurement.examples.shape != (n_examples,):
            raise EvaluationError(
                f"`{measurement.metric}` must have one value for each of the {n_examples} examples "
                f"that were asked for, but has shape {measurement.examples.shape}: mend the set"
            )
