"""The proxy: a mixture's score is the score of the merged experts.

Source:
    Tao et al. 2025 (arXiv 2505.16066); Wang et al. 2026 (arXiv 2601.17858).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mixwise.errors import EvaluationError
from mixwise.evaluation.suite import EvaluationSuite
from mixwise.ledger import Ledger
from mixwise.merging.experts import ExpertPool
from mixwise.merging.live_model import LiveModel
from mixwise.merging.rules import MergeRule
from mixwise.mixture import Mixture
from mixwise.observation import Observation
from mixwise.recipe import hash_section
from mixwise.scorer import OnProgress, Progress, silent

Clock = Callable[[], float]


class ProxyScorer:
    """Merges experts into the live model and evaluates it; asks the ledger first.

    Args:
        pool: The experts and the live model.
        rule: How they are merged.
        suite: What the merge is measured on.
        ledger: Where observations are found and kept.
        clock: Seconds, for the cost of each observation.
        on_progress: Told after each candidate.
    """

    def __init__(
        self,
        pool: ExpertPool,
        rule: MergeRule,
        suite: EvaluationSuite,
        ledger: Ledger,
        *,
        clock: Clock,
        on_progress: OnProgress = silent,
    ) -> None:
        self._pool = pool
        self._rule = rule
        self._suite = suite
        self._ledger = ledger
        self._clock = clock
        self._on_progress = on_progress

    def score(self, mixtures: Sequence[Mixture]) -> tuple[Observation, ...]:
        """Score mixtures by merging; each new observation is recorded at once."""
        observations = []
        for k, mixture in enumerate(mixtures):
            observations.append(self._score(mixture))
            self._on_progress(Progress("scoring merged candidates", k + 1, len(mixtures)))
        return tuple(observations)

    def _score(self, mixture: Mixture) -> Observation:
        provenance = self._provenance(mixture)
        fingerprint = hash_section("proxy", *(f"{k}={v}" for k, v in provenance.items()))
        found = self._ledger.find(fingerprint)
        if found is not None:
            return found
        started = self._clock()
        self._pool.merge(mixture, self._rule)
        try:
            measurements = self._suite.evaluate(self._pool.live.module)
        except EvaluationError as error:
            raise EvaluationError(f"merge of `{mixture}`: {error}") from None
        observation = Observation(
            mixture=mixture,
            answer="proxy",
            rule=self._rule.name,
            seeds=(),
            measurements=measurements,
            seconds=self._clock() - started,
            tokens_trained=0,
            tokens_evaluated=self._suite.n_tokens,
            fingerprint=fingerprint,
            provenance=provenance,
        )
        self._ledger.add(observation)
        return observation

    def _provenance(self, mixture: Mixture) -> dict[str, str]:
        experts = {
            f"expert {name}": checkpoint.fingerprint
            for name, checkpoint in self._pool.experts.items()
        }
        return {
            "mixture": str(mixture),
            "rule": self._rule.name,
            **experts,
            **model_provenance(self._pool.live),
            "evaluation": self._suite.fingerprint,
        }


def model_provenance(live: LiveModel) -> dict[str, str]:
    """What a score depends on besides the checkpoint that was written into the live model."""
    tensor = next(iter(live.tensors.values()))
    return {
        "base": live.base.fingerprint,
        "precision": str(tensor.dtype).removeprefix("torch."),
        "device": tensor.device.type,
    }
