"""Fidelity as tables: the objective's, upright for narrow screens, and one row per metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mixwise.decision.fidelity import Estimate, Fidelity
from mixwise.decision.score import OBJECTIVE
from mixwise.report.markup import Html, tag
from mixwise.report.numbers import NOTHING, estimate, number, signed
from mixwise.report.tables import table
from mixwise.study.results import MetricFacts

_FIGURES: Mapping[str, str] = {
    "spearman": "Spearman ρ",
    "kendall": "Kendall τ",
    "top_quarter": "ρ among the best quarter",
    "mean_absolute_error": "Mean absolute error",
    "bias": "Bias (proxy − reference)",
    "regret": "Regret of the first pick",
    "regret_of_five": "Regret of the best of five",
}
_WITHOUT_CHANCE = ("bias",)  # shuffling does not move it


def fidelity_table(fidelity: Fidelity) -> Html:
    """One metric's figures, each between what noise allows and what chance gives.

    Args:
        fidelity: Of the metric, most often the objective.
    """
    rows = []
    for name, words in _FIGURES.items():
        allowed = getattr(fidelity.noiseless, name) if fidelity.noiseless else Estimate(None)
        chance = Estimate(None) if name in _WITHOUT_CHANCE else getattr(fidelity.chance, name)
        rows.append([words, *map(_figure, (getattr(fidelity, name), allowed, chance))])
    head = ["Figure", "Proxy", "Noise allows", "Chance gives"]
    return table("Fidelity of the objective", head, rows)


def _figure(found: Estimate) -> Html:
    return tag("span", estimate(found), class_="figure")


def metric_fidelity_table(
    fidelity: Mapping[str, Fidelity], metrics: Mapping[str, MetricFacts]
) -> Html:
    """Agreement of proxy and reference, one row per metric.

    Args:
        fidelity: By metric, the objective among them.
        metrics: How to read each.
    """
    rows = [
        [name, *_cells(row), tag("span", metrics[name].unit if name in metrics else "")]
        for name, row in fidelity.items()
    ]
    head = [
        "Metric",
        "ρ (95 %)",
        "Noise allows",
        "Top-quarter ρ (95 %)",
        "Noise allows",
        "Absolute error",
        "Noise allows",
        "Bias",
        "Regret",
        "Of five",
        "Seed noise",
        "Of it shared",
        "Seed-to-seed ρ",
        "Unit",
    ]
    marked = list(fidelity).index(OBJECTIVE) if OBJECTIVE in fidelity else None
    return table("Fidelity of the proxy by metric", head, rows, marked=marked)


def _cells(row: Fidelity) -> Sequence[str]:
    allowed = row.noiseless
    return [
        estimate(row.spearman),
        number(row.ceiling),
        estimate(row.top_quarter),
        number(allowed.top_quarter.value) if allowed else NOTHING,
        number(row.mean_absolute_error.value),
        number(allowed.mean_absolute_error.value) if allowed else NOTHING,
        signed(row.bias.value),
        number(row.regret.value),
        number(row.regret_of_five.value),
        number(row.seed_noise),
        number(row.shared_noise),
        number(row.seed_spearman),
    ]
