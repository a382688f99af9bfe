"""The tables of labelled beds: accuracies and losses of models, and what else the base tells.

Method:
    One CSV file a bed that is only ever appended to, `tables/labelled-BED.csv`: whose answer, steps
    of the experts or the run, seed, shares, accuracy and loss (nats/row) on the test rows of each
    domain. `tables/labelled-BED.json` holds what is measured at the base once: how similar domains
    look to it, and how they interfere.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from benchmarks.truth.labelled import LABELLED_BEDS

from mixwise.arrays import Array
from mixwise.diagnostics.interference import Interactions
from mixwise.mixture import Mixture

TABLES = Path(__file__).parent / "tables"
Key = tuple[str, int, int, str]
_SHARE, _ACCURACY, _LOSS = "share ", "accuracy ", "loss "


@dataclass(frozen=True, slots=True)
class LabelledRun:
    """A model, or predictions that stand for one, and what it scored.

    Args:
        answer: ``base``, ``merged``, ``predictions``, ``longer c`` or ``reference``.
        steps: Of the experts, or of the run.
        seed: Of the run; else 0.
        mixture: Shares of the domains.
        accuracies: Share of right answers by test set.
        losses: Nats per row by test set.
    """

    answer: str
    steps: int
    seed: int
    mixture: Mixture
    accuracies: Mapping[str, float]
    losses: Mapping[str, float]

    @property
    def key(self) -> Key:
        """What makes it one and the same."""
        return self.answer, self.steps, self.seed, str(self.mixture)


@dataclass(frozen=True, slots=True, eq=False)
class AtBase:
    """What is measured before anything is compared.

    Args:
        similarities: Cosine of the base's mean features, test rows of each domain (rows) with
            training rows of each domain (columns), ``(n_domains, n_domains)``.
        relative_sizes: ‖δᵢ‖ / ‖θ₀‖ by steps of the experts.
        interactions: Derivatives along the task vectors by steps of the experts.
    """

    similarities: Array
    relative_sizes: Mapping[int, tuple[float, ...]]
    interactions: Mapping[int, Interactions]


def table_of(bed: str) -> Path:
    """Where a bed's table lies."""
    return TABLES / f"labelled-{bed}.csv"


def load_labelled(bed: str) -> list[LabelledRun]:
    """The rows of a bed's table; none before it is begun."""
    if not table_of(bed).is_file():
        return []
    with table_of(bed).open(newline="") as file:
        return [_parse(row) for row in csv.DictReader(file)]


def _parse(row: Mapping[str, str]) -> LabelledRun:
    shares, accuracies, losses = (
        {k.removeprefix(kind): float(v) for k, v in row.items() if k.startswith(kind)}
        for kind in (_SHARE, _ACCURACY, _LOSS)
    )
    mixture = Mixture(tuple(shares), tuple(shares.values()))
    answer, steps, seed = row["answer"], int(row["steps"]), int(row["seed"])
    return LabelledRun(answer, steps, seed, mixture, accuracies, losses)


def append_labelled(bed: str, runs: Iterable[LabelledRun]) -> None:
    """Add rows to a bed's table, and write its head where there is none."""
    domains, path = LABELLED_BEDS[bed].domains, table_of(bed)
    is_new = not path.is_file()
    with path.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if is_new:
            named = [f"{kind}{name}" for kind in (_SHARE, _ACCURACY, _LOSS) for name in domains]
            writer.writerow(["answer", "steps", "seed", *named])
        for run in runs:
            scores = [f"{found[d]:.4f}" for found in (run.accuracies, run.losses) for d in domains]
            writer.writerow([run.answer, run.steps, run.seed, *run.mixture.shares, *scores])


def base_file(bed: str) -> Path:
    """Where what was measured at a bed's base lies."""
    return TABLES / f"labelled-{bed}.json"


def save_at_base(bed: str, found: AtBase) -> None:
    """Write what was measured at a bed's base."""
    points = {
        str(steps): {
            "relative_sizes": [round(size, 4) for size in found.relative_sizes[steps]],
            "slopes": one.slopes.round(5).tolist(),
            "curvatures": one.curvatures.round(5).tolist(),
            "curvature_norms": one.curvature_norms.round(5).tolist(),
            "n_tokens": one.n_tokens,
        }
        for steps, one in found.interactions.items()
    }
    content = {"similarities": found.similarities.round(5).tolist(), "points": points}
    base_file(bed).write_text(json.dumps(content) + "\n")


def load_at_base(bed: str) -> AtBase:
    """What was measured at a bed's base.

    Raises:
        FileNotFoundError: If it was not yet.
    """
    content = json.loads(base_file(bed).read_text())
    domains = LABELLED_BEDS[bed].domains
    names = ("slopes", "curvatures", "curvature_norms")
    interactions = {
        int(steps): Interactions(
            domains,
            tuple(f"{name}/loss" for name in domains),
            n_tokens=found["n_tokens"],
            **{name: np.array(found[name]) for name in names},
        )
        for steps, found in content["points"].items()
    }
    sizes = {int(k): tuple(found["relative_sizes"]) for k, found in content["points"].items()}
    return AtBase(np.array(content["similarities"]), sizes, interactions)
