"""What a method may buy on a truth bed, what that costs, and how its pick is judged.

Notation:
    run: the tokens T of one training run, the unit of all costs.  e: cost of evaluating one model.

Method:
    Everything that a method learns it buys here, from tables of real runs: a trained mixture costs
    1 + e, the experts N (1 + e), a merged model e. Evaluation is a forward pass, a third of what
    the same tokens cost in training, and reads the objective's sets only. A run of a narrower model
    costs its share of the parameters.
    A draw decides which mixtures may be picked (two in three of a side of the split) and with which
    seed everything is trained: one for all, as what a seed does to all mixtures alike then does not
    disturb the choice. A pick is judged by those of its runs that the method has not bought, so
    that luck that helped to choose it does not count for it. The best that could be
    picked is the largest mean over all seeds, drawn towards the mean of all mixtures by the share
    of noise in it: what someone who had seen every run would expect of the best.

Source:
    Efron and Morris 1973 for the shrunken means.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from benchmarks.truth.design import Split
from benchmarks.truth.pool import Pool

from mixwise.decision.fidelity import seed_noise

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
_CANDIDATES = 2 / 3  # of a side of the split
_FORWARD = 1 / 3  # of a trained token
_SEEDS = (1, 2)


def objective(losses: Array) -> Array:
    """J of losses ``(…, sets)``."""
    return np.asarray(-losses.mean(axis=-1))


class OverspentError(Exception):
    """The budget does not allow what a method needs."""


@dataclass(frozen=True, slots=True, eq=False)
class Draw:
    """What chance decides before a method starts.

    Args:
        candidates: Mixtures that may be picked, and trained.
        training_seed: Seed of all that is trained; every mixture has a run with another one.
        seed: Of whatever else the method draws.
    """

    candidates: Indices
    training_seed: int
    seed: int


def draw(pool: Pool, split: Split, seed: int) -> Draw:
    """Draw candidates, and one of the two seeds that every mixture has."""
    rng = np.random.default_rng(seed)
    side = np.array([k for k in pool.side(split) if set(_SEEDS) <= set(pool.seeds[k])])
    candidates = np.sort(rng.choice(side, round(_CANDIDATES * len(side)), replace=False))
    return Draw(candidates, int(rng.choice(_SEEDS)), seed)


class Purse:
    """The tokens of one attempt, and everything that it has bought.

    Args:
        pool: The bed.
        small: The same mixtures on a narrower model, or None.
        drawn: Candidates and seeds.
        objective: What is asked for.
        budget: In runs.
    """

    def __init__(
        self, pool: Pool, small: Pool | None, drawn: Draw, objective: str, budget: float
    ) -> None:
        self.pool = pool
        self.small = small
        self.objective = objective
        self.candidates = drawn.candidates
        self.rng = np.random.default_rng(drawn.seed)
        self.left = budget
        self.training_seed = drawn.training_seed
        self._sets = pool.sets(objective)
        self._trained: set[int] = set()
        tokens = len(self._sets) * pool.tokens_per_set
        self.evaluation = _FORWARD * tokens / pool.bed.horizon_tokens

    @property
    def shares(self) -> Array:
        """Shares of all the bed's mixtures."""
        return self.pool.shares

    def affordable(self, cost: float) -> int:
        """How often something can still be bought."""
        return int(self.left / cost + 1e-9)

    @property
    def run(self) -> float:
        """Cost of a run and its evaluation."""
        return 1 + self.evaluation

    @property
    def small_run(self) -> float:
        """The same on the narrower model."""
        assert self.small is not None
        return self.run * self.small.n_parameters / self.pool.n_parameters

    def buy_experts(self) -> Array:
        """Losses of the experts, ``(d, sets)``; from then on merged models can be bought.

        Raises:
            OverspentError: As all purchases do, when too little is left.
        """
        self._pay(len(self.pool.experts) * self.run)
        return self.pool.experts[:, self._sets]

    def buy_extra(self, mixture: int) -> Array:
        """Losses of a run beside the experts, ``(sets,)``, trained with their seed."""
        self._pay(self.run)
        return self.pool.extras[str(self.pool.mixtures[mixture])][self._sets]

    def train(self, mixture: int) -> Array:
        """Losses of a mixture when trained, ``(sets,)``; what was bought before costs nothing."""
        if mixture not in self._trained:
            self._pay(self.run)
            self._trained.add(mixture)
        return self.pool.losses[mixture, self.training_seed - 1, self._sets]

    def train_small(self, mixture: int) -> Array:
        """Losses of a mixture when trained on the narrower model, ``(sets,)``."""
        assert self.small is not None
        self._pay(self.small_run)
        row = self.small.index(self.pool.mixtures[mixture])
        return self.small.losses[row, self.training_seed - 1, self._sets]

    def merge(self, mixture: int) -> Array:
        """Losses of a linear merge of the experts, ``(sets,)``."""
        self._pay(self.evaluation)
        return self.pool.merged["linear"][mixture, self._sets]

    def judge(self, mixture: int) -> float:
        """The objective of a mixture by the runs that were not bought."""
        scores = self.pool.scores(self.objective)[mixture].copy()
        if mixture in self._trained:
            scores[self.training_seed - 1] = np.nan
        return float(np.nanmean(scores))

    def _pay(self, cost: float) -> None:
        if cost > self.left + 1e-9:
            raise OverspentError(f"{cost:.2f} runs are asked for and {self.left:.2f} are left")
        self.left -= cost


Pick = Callable[[Purse], int]


def best_value(pool: Pool, candidates: Indices, objective: str) -> float:
    """What someone who had seen every run would expect of the best candidate."""
    scores = pool.scores(objective)
    side = pool.side(pool.splits[int(candidates[0])])
    return shrunken_best(scores[side], scores[candidates])


def shrunken_best(scores: Array, chosen: Array) -> float:
    """The largest mean over seeds, drawn towards the mean of all by the share of noise in it.

    Args:
        scores: Of all mixtures, ``(n, n_seeds)``, NaN where a seed is missing.
        chosen: Of those that may be picked, ``(n_candidates, n_seeds)``.
    """
    groups = [row[np.isfinite(row)].tolist() for row in scores]
    noise = seed_noise(groups) or 0.0
    means = np.nanmean(scores, axis=1)
    spread = max(float(means.var(ddof=1)) - _mean_variance(groups, noise), 0.0)
    n_seeds = np.isfinite(chosen).sum(axis=1)
    trust = spread / (spread + noise**2 / n_seeds)
    return float((means.mean() + trust * (np.nanmean(chosen, axis=1) - means.mean())).max())


def _mean_variance(groups: Sequence[Sequence[float]], noise: float) -> float:
    return float(np.mean([noise**2 / len(group) for group in groups]))
