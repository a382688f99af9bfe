"""Merged models as a proxy: a mixture's score is the score of the merged experts.

Method:
    What the ledger holds is not measured again, and slopes that were asked for earlier serve a
    later request for values. A model that was measured part by part, as in a race, is put together
    from its parts, and only what is missing is measured.

Source:
    Tao et al. 2025 (arXiv 2505.16066); Wang et al. 2026 (arXiv 2601.17858).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal

from mixwise.ledger import Ledger
from mixwise.mixture import Mixture
from mixwise.observation import Observation
from mixwise.progress import OnProgress, Progress, silent
from mixwise.recipe import hash_section
from mixwise.scorer import VALUES, Part, Request
from mixwise.scoring.evaluations import Evaluations
from mixwise.scoring.parts import join
from mixwise.scoring.worker.job import Evaluated

_ORDERS: tuple[Literal[0, 1, 2], ...] = (0, 1, 2)


class MergedScorer:
    """Merges experts and evaluates the merges; asks the ledger first.

    Args:
        evaluations: Where merges are evaluated; it knows the experts.
        rule: Name of the merge rule.
        ledger: Where observations are found and kept.
        on_progress: Told after each mixture.
    """

    def __init__(
        self,
        evaluations: Evaluations,
        rule: str,
        ledger: Ledger,
        *,
        on_progress: OnProgress = silent,
    ) -> None:
        self._evaluations = evaluations
        self._rule = rule
        self._ledger = ledger
        self._on_progress = on_progress
        self._listener: Callable[[Observation, Request], None] | None = None

    def score(
        self, mixtures: Sequence[Mixture], request: Request = VALUES
    ) -> tuple[Observation, ...]:
        """Score mixtures by merging; each new observation is recorded at once."""
        wanted = {str(mixture): mixture for mixture in mixtures}
        found = {key: self._find(mixture, request) for key, mixture in wanted.items()}
        known = {key: observation for key, observation in found.items() if observation is not None}
        for observation in known.values():
            self._tell(observation, request)
        for observation in self._measure(list(wanted.values()), set(known), request):
            known[str(observation.mixture)] = observation
            self._tell(observation, request)
            if self._listener is None:
                self._on_progress(
                    Progress("scoring merged models", len(known), len(wanted), "mixtures")
                )
        return tuple(known[str(mixture)] for mixture in mixtures)

    @contextmanager
    def told_to(self, listener: Callable[[Observation, Request], None]) -> Iterator[None]:
        """Tell each observation, new or found in the ledger, to someone who counts for himself.

        Args:
            listener: Takes an observation and what had been asked for.
        """
        self._listener = listener
        try:
            yield
        finally:
            self._listener = None

    def _tell(self, observation: Observation, request: Request) -> None:
        if self._listener is not None:
            self._listener(observation, request)

    def _measure(
        self, mixtures: Sequence[Mixture], known: Set[str], request: Request
    ) -> Iterator[Observation]:
        """Measure what is not known.

        Mixtures that share a job are measured together even where some of them are known, so that
        an interrupted search goes on with the same digits.
        """
        raced = {
            str(mixture): pieces
            for mixture in mixtures
            if request == VALUES and str(mixture) not in known
            for pieces in [self._pieces(mixture)]
            if pieces
        }
        fresh = [mixture for mixture in mixtures if str(mixture) not in raced]
        size = self._evaluations.group_size(request)
        groups = [fresh[k : k + size] for k in range(0, len(fresh), size)]
        missing = [m for group in groups if not {str(m) for m in group} <= known for m in group]
        for index, evaluated in self._evaluations.run(missing, request):
            if str(missing[index]) not in known:
                yield self._record(missing[index], request, evaluated)
        for mixture in mixtures:
            if str(mixture) in raced:
                yield self._complete(mixture, raced[str(mixture)])

    def _complete(self, mixture: Mixture, pieces: dict[Part, Observation]) -> Observation:
        """Measure what a race has left out, and put the whole together."""
        last = max(pieces, key=lambda part: part.last)
        rest = Part(last.last, last.of, last.of)
        if rest.first < rest.of:
            [pieces[rest]] = self.score([mixture], replace(VALUES, part=rest))
        measured = {part: observation.measurements for part, observation in pieces.items()}
        n_examples = {s.name: s.n_examples for s in self._evaluations.suite.sets}
        whole = Evaluated(
            join(Part(), measured, n_examples),
            seconds=sum(o.seconds for o in pieces.values()),
            n_tokens=sum(o.tokens_evaluated for o in pieces.values()),
        )
        return self._record(mixture, VALUES, whole)

    def _pieces(self, mixture: Mixture) -> dict[Part, Observation]:
        """What the ledger holds of a mixture's values from the first example on, part by part.

        Nothing where a metric is no mean over examples: the whole has other values of the examples
        than the parts, and the ledger does not keep the answers that they are made of.
        """
        if not self._evaluations.suite.adds_up:
            return {}
        wanted = self._provenance(mixture, VALUES)
        found: dict[Part, Observation] = {}
        for observation in self._ledger.observations("proxy", mixture=mixture):
            provenance = dict(observation.provenance)
            text = provenance.pop("part", None)
            if text is not None and provenance == wanted:
                found[Part.parse(text)] = observation
        chains = [_chain(found, of) for of in sorted({part.of for part in found})]
        widest = max(chains, key=_coverage, default=())
        return {part: found[part] for part in widest}

    def _find(self, mixture: Mixture, request: Request) -> Observation | None:
        for order in _ORDERS[request.order :]:
            more = replace(request, order=order)
            found = self._ledger.find(self._fingerprint(mixture, more))
            if found is not None:
                return found
        return None

    def _record(self, mixture: Mixture, request: Request, evaluated: Evaluated) -> Observation:
        observation = Observation(
            mixture=mixture,
            answer="proxy",
            rule=self._rule,
            seeds=(),
            measurements=evaluated.measurements,
            seconds=evaluated.seconds,
            tokens_trained=0,
            tokens_evaluated=evaluated.n_tokens,
            fingerprint=self._fingerprint(mixture, request),
            provenance=self._provenance(mixture, request),
        )
        self._ledger.add(observation)
        return observation

    def _fingerprint(self, mixture: Mixture, request: Request) -> str:
        provenance = self._provenance(mixture, request)
        return hash_section("proxy", *(f"{k}={v}" for k, v in provenance.items()))

    def _provenance(self, mixture: Mixture, request: Request) -> dict[str, str]:
        asked = {} if request == VALUES else {"request": str(request)}
        if request == replace(VALUES, part=request.part) and request != VALUES:
            asked = {"part": str(request.part)}  # so that it is found again as a piece
        sets = self._evaluations.slope_sets
        slopes = {"slopes of": ", ".join(sets)} if request.order else {}
        return {"mixture": str(mixture), **self._evaluations.provenance, **asked, **slopes}


def _chain(parts: Iterable[Part], of: int) -> tuple[Part, ...]:
    """Parts of one division that follow on each other from the first block on."""
    chain: list[Part] = []
    for part in sorted(parts, key=lambda part: (part.first, part.last)):
        if part.of == of and part.first == (chain[-1].last if chain else 0):
            chain.append(part)
    return tuple(chain)


def _coverage(chain: Sequence[Part]) -> float:
    return chain[-1].last / chain[-1].of if chain else 0.0
