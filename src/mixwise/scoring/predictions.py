"""The experts' predictions averaged: a second proxy, of which every candidate is arithmetic.

Notation:
    p_i(t): probability of scored token t by expert i, or by θ₀ + c δ_i, where its step from the
    base is taken c times as long.  λ: shares, ``(n,)``.  R: tokens of a row.
    q(t) = Σ_i λ_i p_i(t).  ℓ_R = −Σ_{t ∈ R} log q(t), in nats.

Method:
    A mixture's stand-in is the model that predicts q. Each expert reads the evaluation sets once,
    and its log-likelihoods of the scored tokens are kept; then a candidate's rows are ℓ_R, and

        ∂ℓ_R/∂λ_i = −Σ_t p_i/q ,   ∂²ℓ_R/∂λ_i∂λ_j = Σ_t p_i p_j / q² ,

    so that a metric that is linear in the rows' likelihoods is convex in λ. What a model would
    answer (accuracy, generation) is not asked of it. Likelihoods stay in their files, which are
    mapped, and are worked on a piece of rows at a time.

Source:
    Thudi et al. 2025, MixMin (arXiv 2502.10510).

Departures:
    MixMin takes the predictions of one model per source for those of Bayes-optimal ones and lowers
    the loss on target data. Here they are a scorer like any other, beside merged models, and may be
    continued to a longer horizon.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mixwise.arrays import Array
from mixwise.evaluation.likelihood.rows import Indices
from mixwise.evaluation.likelihood.sets import PredictedSet
from mixwise.mixture import Mixture
from mixwise.models.checkpoint import Checkpoint
from mixwise.observation import Measurement, Observation
from mixwise.recipe import hash_section
from mixwise.scorer import VALUES, Request
from mixwise.scoring.derivatives.measured import ExampleSums
from mixwise.scoring.evaluations import Evaluations
from mixwise.scoring.token_likelihoods import TokenLikelihoods

RULE = "predictions"
_PIECE = 2**20  # likelihoods of all experts that are worked on at once: 8 MB of float64
_MOST_EXPONENT = 600.0  # exp of more is no float64: an expert without a share may know far better


class PredictionScorer:
    """Averages the predictions of experts; measures likelihood sets alone.

    Args:
        experts: Opened experts by domain.
        evaluations: Where the experts read the sets, once each.
        folder: Where their likelihoods are kept.
        coefficient: c, what the experts' task vectors are multiplied by.
        names: Of the sets that are read; None for all.
    """

    def __init__(
        self,
        experts: Mapping[str, Checkpoint],
        evaluations: Evaluations,
        folder: Path,
        *,
        coefficient: float = 1.0,
        names: tuple[str, ...] | None = None,
    ) -> None:
        self._experts = experts
        self._coefficient = coefficient
        self._names = names
        self._evaluations = evaluations
        self._store = TokenLikelihoods(folder, evaluations)

    def score(
        self, mixtures: Sequence[Mixture], request: Request = VALUES
    ) -> tuple[Observation, ...]:
        """Score mixtures; the first call reads what is not kept yet."""
        return tuple(self._observe(mixture, request) for mixture in mixtures)

    @cached_property
    def _sets(self) -> tuple[_Predictions, ...]:
        """The likelihood sets as the experts predict them."""
        likelihoods = self._store.of(
            self._experts, coefficient=self._coefficient, names=self._names
        )
        return tuple(
            _Predictions(chosen, [found[chosen.name] for found in likelihoods])
            for chosen in self._evaluations.suite.likelihood_sets
            if self._names is None or chosen.name in self._names
        )

    def _observe(self, mixture: Mixture, request: Request) -> Observation:
        measured = tuple(m for one in self._sets for m in one.measure(mixture.array, request))
        provenance = {
            "mixture": str(mixture),
            "rule": RULE,
            **{f"expert {name}": expert.fingerprint for name, expert in self._experts.items()},
            **self._evaluations.model.provenance,
            "evaluation": self._evaluations.suite.fingerprint,
            **({} if self._coefficient == 1 else {"coefficient": f"{self._coefficient:g}"}),
        }
        return Observation(
            mixture=mixture,
            answer="proxy",
            rule=RULE,
            seeds=(),
            measurements=measured,
            seconds=0.0,
            tokens_trained=0,
            tokens_evaluated=0,
            fingerprint=hash_section(
                str(request), *(f"{key}={value}" for key, value in provenance.items())
            ),
            provenance=provenance,
        )


class _Predictions:
    """One set as all experts predict it.

    Args:
        chosen: The set.
        log_likelihoods: Of its scored tokens by each expert, row after row, ``(n_tokens,)``, in
            nats.
    """

    def __init__(
        self, chosen: PredictedSet, log_likelihoods: Sequence[npt.NDArray[np.float32]]
    ) -> None:
        self._chosen = chosen
        self._log = log_likelihoods
        sizes = np.array([row.n_scored for row in chosen.rows()])
        self._ends = np.cumsum(sizes)
        self._starts = self._ends - sizes
        examples = chosen.differentiable().row_examples
        self._first_rows = np.searchsorted(examples, np.arange(chosen.n_examples + 1))

    def measure(self, shares: Array, request: Request) -> tuple[Measurement, ...]:
        """Every metric of the set, with the derivatives that its differentiable metrics have."""
        chosen, examples = self._chosen, request.part.examples(self._chosen.n_examples)
        rows = np.concatenate([self._rows_of(example) for example in examples])
        pieces = [self._read(piece, shares, request.order) for piece in self._pieces(rows)]
        nats = np.concatenate([piece.nats for piece in pieces])
        measured = chosen.measure(nats, examples)
        if not request.order:
            return measured
        facts = chosen.differentiable(examples)
        sums = ExampleSums(len(examples), len(shares))
        end = 0
        for piece in pieces:
            start, end = end, end + len(piece.nats)
            counted = np.flatnonzero(facts.counted[start:end])
            hessians = None if piece.hessians is None else piece.hessians[counted]
            owners = facts.row_examples[start:end][counted]
            sums.add(owners, piece.slopes[counted], hessians)
        return tuple(sums.attach(measurement, facts, request) for measurement in measured)

    def _read(self, rows: Indices, shares: Array, order: int) -> _Rows:
        """Average the predictions of some rows."""
        starts = np.concatenate([[0], np.cumsum((self._ends - self._starts)[rows])[:-1]])
        log = self._tokens_of(rows)
        highest = log[shares > 0].max(axis=0)  # keeps a token from having no likelihood at all
        likelihoods = np.exp(np.minimum(log - highest, _MOST_EXPONENT))
        mixed = shares @ likelihoods
        nats = -np.add.reduceat(highest + np.log(mixed), starts)
        ratios = likelihoods / mixed if order else likelihoods[:, :0]
        slopes = -np.add.reduceat(ratios, starts, axis=1).T if order else np.zeros((0, len(shares)))
        return _Rows(nats, slopes, _hessians(ratios, starts) if order == 2 else None)

    def _pieces(self, rows: Indices) -> list[Indices]:
        """Rows in pieces of about so many likelihoods, in their order."""
        passed = np.cumsum((self._ends - self._starts)[rows]) * len(self._log)
        return np.split(rows, np.flatnonzero(np.diff(passed // _PIECE)) + 1)

    def _rows_of(self, example: int) -> Indices:
        return np.arange(self._first_rows[example], self._first_rows[example + 1])

    def _tokens_of(self, rows: Indices) -> Array:
        first, last = rows[0], rows[-1]
        if np.array_equal(rows, np.arange(first, last + 1)):
            span = slice(self._starts[first], self._ends[last])
            return np.stack([log[span] for log in self._log]).astype(np.float64)
        tokens = np.concatenate([np.arange(self._starts[r], self._ends[r]) for r in rows])
        return np.stack([log[tokens] for log in self._log]).astype(np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """What was found of some rows.

    Args:
        nats: Shape ``(n_rows,)``.
        slopes: In the shares, ``(n_rows, n_experts)``; without rows where nobody asked.
        hessians: ``(n_rows, n_experts, n_experts)``; None where nobody asked.
    """

    nats: Array
    slopes: Array
    hessians: Array | None


def _hessians(ratios: Array, starts: Indices) -> Array:
    """Σ_t r_i r_j of each row, shape ``(n_rows, n_experts, n_experts)``."""
    ends = [*starts[1:].tolist(), ratios.shape[1]]
    pieces = [ratios[:, start:end] for start, end in zip(starts.tolist(), ends, strict=True)]
    return np.stack([piece @ piece.T for piece in pieces])
