"""A bed's tables as arrays: mixtures, their runs seed by seed, and what merged models scored.

Notation:
    n mixtures, d domains, m evaluation sets.  Losses in nats per token, lower is better.

Method:
    An objective is minus a mean of losses in plain nats. `mixwise.objective` divides each loss by
    its spread over the experts, so that metrics of different units can be added; here all are
    nats per token already, and that division would let the sets that no expert moves, whose spread
    is mostly noise, weigh the most. The truth of a mixture is the mean over its seeds,
    after what each seed does to all mixtures alike is taken away.
"""

from __future__ import annotations

import functools
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from benchmarks.truth.beds import BEDS, DEMO, SEQUENCE_TOKENS, Bed
from benchmarks.truth.design import Split
from benchmarks.truth.merges import load_merged
from benchmarks.truth.table import Kind, Run, load_runs, table_file
from tokenizers import Tokenizer

from mixwise.decision.fidelity import seed_shifts
from mixwise.mixture import Mixture

Array = npt.NDArray[np.float64]
OBJECTIVES: Mapping[str, tuple[str, ...]] = {
    "domains": (),  # those of the bed
    "targets": ("outils", "libc"),
    "code": ("python", "c", "sqlite", "perl"),
    "languages": ("german", "french", "spanish", "outils"),
}
_DEMO_WIDTH, _VOCABULARY, _LAYERS, _FEED_FORWARD = 128, 2048, 4, 2.75


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """The reference mixtures of a bed.

    Args:
        bed: The setting.
        mixtures: All reference mixtures.
        shares: The same as an array, shape ``(n, d)``.
        splits: Side of the split of each.
        losses: Of every run, shape ``(n, most seeds, m)``; NaN where there is no such run.
        base: Losses of the base, shape ``(m,)``.
        experts: Losses of the experts, shape ``(d, m)``, in the order of the domains.
        extras: Losses of the runs that correct merges, by mixture; shape ``(m,)`` each.
        merged: Losses of merged models by rule, shape ``(n, m)``; NaN where none was measured.
    """

    bed: Bed
    mixtures: tuple[Mixture, ...]
    shares: Array
    splits: tuple[Split, ...]
    losses: Array
    base: Array
    experts: Array
    extras: Mapping[str, Array]
    merged: Mapping[str, Array]

    @property
    def seeds(self) -> list[list[int]]:
        """Seeds of each mixture; seed s is column s − 1 of `losses`."""
        return [(np.flatnonzero(np.isfinite(row[:, 0])) + 1).tolist() for row in self.losses]

    @property
    def tokens_per_set(self) -> int:
        """Tokens that are evaluated of each set."""
        return self.bed.max_sequences * SEQUENCE_TOKENS

    @property
    def n_parameters(self) -> int:
        """Parameters of the bed's base, embeddings counted once, as they are tied."""
        width = self.bed.width or _DEMO_WIDTH
        block = 4 * width**2 + 3 * width * int(_FEED_FORWARD * width) + 2 * width
        return _VOCABULARY * width + _LAYERS * block + width

    def side(self, split: Split) -> npt.NDArray[np.int64]:
        """Indices of a side's mixtures, without those that merge rules may be trained on."""
        return np.array(
            [
                k
                for k, side in enumerate(self.splits)
                if side == split
                and str(self.mixtures[k]) not in self.extras
                and not self._single(k)
            ],
            dtype=np.int64,
        )

    def sets(self, objective: str) -> npt.NDArray[np.int64]:
        """Positions of the sets that an objective reads."""
        names = OBJECTIVES[objective] or self.bed.domains
        return np.array([self.bed.sets.index(name) for name in names])

    def scores(self, objective: str) -> Array:
        """The objective of every run, larger is better, shape ``(n, most seeds)``, with NaN.

        What a seed does to all mixtures alike is taken away, so that mixtures can be compared
        across seeds.
        """
        scores = -self.losses[..., self.sets(objective)].mean(axis=-1)
        return np.asarray(scores - seed_shifts(scores))

    def merged_scores(self, rule: str, objective: str) -> Array:
        """The objective of merged models, shape ``(n,)``."""
        return -self.merged[rule][:, self.sets(objective)].mean(axis=-1)

    def index(self, mixture: Mixture) -> int:
        """Where a mixture stands."""
        return self.mixtures.index(mixture)

    def _single(self, k: int) -> bool:
        return bool(self.shares[k].max() == 1)


def judged_beds() -> tuple[str, ...]:
    """Beds whose tables hold references."""
    return tuple(name for name in BEDS if _of_kind(load_runs(name), "reference"))


def load_pool(name: str) -> Pool:
    """Load a bed's table, and its merged scores where there are some.

    Raises:
        FileNotFoundError: If the bed's table is not begun.
    """
    bed = BEDS[name]
    runs = load_runs(bed)
    if not runs:
        raise FileNotFoundError(f"{table_file(bed)}: make it by benchmarks.truth.generate {name}")
    references = _of_kind(runs, "reference")
    mixtures = tuple(dict.fromkeys(_mixture(run) for run in references))
    place = {str(mixture): k for k, mixture in enumerate(mixtures)}
    splits = {str(run.mixture): run.split for run in references}
    losses = np.full((len(mixtures), max(run.seed for run in references), len(bed.sets)), np.nan)
    for run in references:
        losses[place[str(run.mixture)], run.seed - 1] = _row(run.losses, bed)
    experts = {str(run.mixture): _row(run.losses, bed) for run in _of_kind(runs, "expert")}
    singles = [str(Mixture.single(bed.domains, domain)) for domain in bed.domains]
    return Pool(
        bed=bed,
        mixtures=mixtures,
        shares=np.array([mixture.shares for mixture in mixtures]),
        splits=tuple(split for m in mixtures if (split := splits[str(m)]) is not None),
        losses=losses,
        base=_row(_of_kind(runs, "base")[0].losses, bed),
        experts=np.array([experts[single] for single in singles]),
        extras={str(run.mixture): _row(run.losses, bed) for run in _of_kind(runs, "extra")},
        merged=_load_merged(bed, place),
    )


@functools.cache
def available_shares(bed_name: str) -> tuple[float, ...]:
    """Shares of a bed's domains by the tokens that there are of each, held-out texts included."""
    tokenizer = Tokenizer.from_file(str(DEMO / "base" / "tokenizer.json"))
    counts = []
    for domain in BEDS[bed_name].domains:
        with gzip.open(DEMO / "data" / f"{domain}.jsonl.gz", "rt", encoding="utf-8") as file:
            texts = [json.loads(line)["text"] for line in file]
        counts.append(sum(len(found.ids) for found in tokenizer.encode_batch(texts)))
    return tuple(count / sum(counts) for count in counts)


def _load_merged(bed: Bed, place: Mapping[str, int]) -> dict[str, Array]:
    """Losses by rule; mixtures that are no references are left out."""
    merged: dict[str, Array] = {}
    for row in load_merged(bed):
        k = place.get(str(row.mixture))
        if k is not None:
            table = merged.setdefault(row.rule, np.full((len(place), len(bed.sets)), np.nan))
            table[k] = _row(row.losses, bed)
    return merged


def _of_kind(runs: Sequence[Run], kind: Kind) -> list[Run]:
    return [run for run in runs if run.kind == kind]


def _mixture(run: Run) -> Mixture:
    assert run.mixture is not None
    return run.mixture


def _row(losses: Mapping[str, float], bed: Bed) -> Array:
    return np.array([losses[name] for name in bed.sets])
