"""What a method may buy at a price on the beds of short experts, and how its pick is judged.

Notation:
    T: tokens of the final run.  price: tokens trained before it ÷ T.  d: domains.  t: tokens of an
    expert, T price / d or less.

Method:
    A draw decides which mixtures may be picked (the uniform one, and two in three of the random
    ones) and whose runs of the whole length may be bought. Experts are bought as long as the price
    pays for all of them and a point was kept; runs of mixtures are bought by number and length, and
    any mixture may be trained. A pick is judged by the final runs that were not bought, what a seed
    does to all mixtures alike taken away; the best is shrunken as in `benchmarks.purse`.
    Forward passes are no part of the price and are counted beside it, a third of a trained token
    each: the sets are as long here as in a real study and the runs are not, so that one evaluation
    of seven sets costs a seventh of a final run of 65,536 tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
from benchmarks.purse import OverspentError, shrunken_best
from benchmarks.truth.horizon_table import load, load_tokens
from benchmarks.truth.horizons import BATCH, LENGTH, SETTINGS, SHORT_SEED, mixtures

from mixwise.decision.fidelity import seed_shifts
from mixwise.mixture import Mixture

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Use = Literal["development", "report"]
BEDS: Mapping[str, Use] = {
    "demo": "development",
    "languages": "development",
    "demo-long": "development",
    "code": "report",
    "administration": "report",
}
PRICES = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
_FORWARD = 1 / 3  # of a trained token
_SEQUENCES = 32  # of a set
_CANDIDATES = 2 / 3


class Bed:
    """The tables of one bed.

    Args:
        name: One of `BEDS`.
    """

    def __init__(self, name: str) -> None:
        setting, rows = SETTINGS[name], load(name)
        first = rows[0]
        self.name, self.use, self.steps = name, BEDS[name], setting.steps
        self.domains, self.sets = tuple(first.shares), tuple(first.losses)
        self.base = np.array(list(first.losses.values()))
        self.mixtures = tuple(mixtures(self.domains))
        self.shares = np.array([mixture.shares for mixture in self.mixtures])
        place = {tuple(float(f"{s:g}") for s in m.shares): k for k, m in enumerate(self.mixtures)}
        self._losses: dict[tuple[str, int, int], Array] = {}
        for row in rows[1:]:
            empty = np.full((len(self.mixtures), len(self.sets)), np.nan)
            block = self._losses.setdefault((row.answer, row.steps, row.seed), empty)
            block[place[tuple(row.shares.values())]] = list(row.losses.values())
        self.truths = np.stack([self._losses["reference", self.steps, s] for s in setting.seeds])

    @cached_property
    def trained(self) -> Indices:
        """Mixtures that were trained, to the end and for short: the uniform one first."""
        return np.array([k for k in range(len(self.domains), len(self.mixtures)) if self._has(k)])

    @property
    def uniform(self) -> int:
        """The uniform mixture."""
        return len(self.domains)

    @cached_property
    def objectives(self) -> Mapping[str, Indices]:
        """Sets that each objective averages."""
        n, every = len(self.domains), np.arange(len(self.sets))
        return {"domains": every[:n], "targets": every[n:], "all": every}

    @cached_property
    def available(self) -> Array:
        """Shares of the domains by the tokens that there are of each."""
        counts = np.array([self.tokens[name] for name in self.domains], dtype=np.float64)
        return counts / counts.sum()

    @cached_property
    def tokens(self) -> Mapping[str, int]:
        """Training tokens of each domain."""
        return load_tokens(SETTINGS[self.name].family)

    def points(self, answer: str) -> list[int]:
        """Steps at which merges or predictions were kept."""
        return sorted(steps for kind, steps, _ in self._losses if kind == answer)

    def experts(self, answer: str, steps: int) -> Array:
        """Losses of all mixtures by merges or predictions, ``(n, sets)``."""
        return self._losses[answer, steps, 0]

    @property
    def short_points(self) -> list[int]:
        """Lengths of runs of mixtures, shorter than the final one."""
        found = {s for kind, s, seed in self._losses if kind == "reference" and seed == SHORT_SEED}
        return sorted(found)

    def short(self, steps: int) -> Array:
        """Losses of runs of so many steps, ``(n, sets)``."""
        return self._losses["reference", steps, SHORT_SEED]

    def _has(self, k: int) -> bool:
        runs = [self.short(steps) for steps in self.short_points]
        return all(bool(np.isfinite(rows[k]).all()) for rows in (*self.truths, *runs))


@dataclass(frozen=True, slots=True, eq=False)
class Draw:
    """What chance decides before a method starts.

    Args:
        candidates: Mixtures that may be picked.
        seed: Place of the final runs that may be bought; None where there is one of each alone.
        number: Of the draw.
    """

    candidates: Indices
    seed: int | None
    number: int


def draw(bed: Bed, number: int) -> Draw:
    """Draw candidates and a seed."""
    rng = np.random.default_rng(number)
    uniform, random = bed.trained[:1], bed.trained[1:]
    some = rng.choice(random, round(_CANDIDATES * len(random)), replace=False)
    n_seeds = len(bed.truths)
    seed = int(rng.integers(n_seeds))
    return Draw(np.concatenate([uniform, np.sort(some)]), seed if n_seeds > 1 else None, number)


class Offer:
    """What one attempt may buy, and what it has bought.

    Args:
        bed: The tables.
        drawn: Candidates and seed.
        objective: One of the bed's.
        price: What may be trained before the final run, in final runs.
    """

    def __init__(self, bed: Bed, drawn: Draw, objective: str, price: float) -> None:
        self.bed, self.drawn, self.price = bed, drawn, price
        self.sets = bed.objectives[objective]
        self.candidates = drawn.candidates
        self.rng = np.random.default_rng(drawn.number)
        self.n_passes = 0  # forward passes over the objective's sets
        self._bought: set[int] = set()

    @property
    def expert_steps(self) -> float:
        """Steps that the price pays each expert."""
        return self.price * self.bed.steps / len(self.bed.domains)

    def kept(self, answer: str) -> int:
        """The longest experts that the price pays for and that were kept.

        Raises:
            OverspentError: If it pays for none that has left its warm-up.
        """
        paid = [steps for steps in self.bed.points(answer) if steps <= self.expert_steps + 1e-9]
        if not paid:
            raise OverspentError("experts would end within their warm-up")
        return paid[-1]

    def of_experts(self, answer: str, steps: int) -> Array:
        """Losses of all mixtures by experts of this length, ``(n, sets)``."""
        return self.bed.experts(answer, steps)[:, self.sets]

    def runs(self, n_wanted: int) -> tuple[Indices, int]:
        """Random mixtures to train, and how far: as many as are wanted, as far as that allows.

        Raises:
            OverspentError: If fewer than three runs can be paid for.
        """
        lengths = self.bed.short_points
        if self.drawn.seed is not None:
            lengths = [*lengths, self.bed.steps]
        counts = {steps: int(self.price * self.bed.steps / steps + 1e-9) for steps in lengths}
        enough = [steps for steps in lengths if counts[steps] >= n_wanted]
        steps = max(enough, default=min(lengths))
        n = min(counts[steps], len(self.bed.trained))
        if n < 3:
            raise OverspentError("too few runs to fit anything")
        return self.rng.choice(self.bed.trained, n, replace=False), steps

    def train(self, chosen: Indices, steps: int) -> Array:
        """Losses of trained mixtures, ``(n_chosen, sets)``."""
        self.n_passes += len(chosen)
        if steps < self.bed.steps:
            return self.bed.short(steps)[np.ix_(chosen, self.sets)]
        if self.drawn.seed is None:
            raise OverspentError("final runs are there once, and judge")
        self._bought |= set(chosen.tolist())
        return self.bed.truths[self.drawn.seed][np.ix_(chosen, self.sets)]

    def judge(self, pick: int) -> float:
        """The objective of a pick, by runs that were not bought."""
        scores = self._scores[pick].copy()
        if pick in self._bought:
            scores[self.drawn.seed] = np.nan
        return float(np.nanmean(scores))

    @property
    def best(self) -> float:
        """What someone who had seen every run would expect of the best candidate."""
        return shrunken_best(self._scores[self.bed.trained], self._scores[self.candidates])

    @property
    def random(self) -> float:
        """What a random pick is worth."""
        return float(self._scores[self.candidates].mean())

    @property
    def spread(self) -> float:
        """Standard deviation of the objective over all trained mixtures."""
        return float(self._scores[self.bed.trained].mean(axis=1).std())

    @property
    def evaluation(self) -> float:
        """What was read besides, in final runs."""
        tokens = self.n_passes * len(self.sets) * _SEQUENCES * LENGTH
        return _FORWARD * tokens / (self.bed.steps * BATCH * LENGTH)

    @property
    def uniform(self) -> Mixture:
        """The uniform mixture."""
        return self.bed.mixtures[self.bed.uniform]

    @cached_property
    def _scores(self) -> Array:
        scores = -self.bed.truths[..., self.sets].mean(axis=-1).T
        return np.asarray(scores - seed_shifts(scores[self.bed.trained]))
