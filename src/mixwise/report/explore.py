"""What the page computes with, in one value: surrogates, bounds, and what the proxy misses.

Method:
    Long rows of numbers are packed as base64 of little-endian doubles: all their digits in half
    the letters. Metrics outside the objective are left out when the page would grow too large.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mixwise.decision.calibration import each_mixture_once
from mixwise.decision.compact import CompactDiscrepancy, compact
from mixwise.decision.discrepancy import (
    OWN,
    Trained,
    fit_discrepancy,
    prior_discrepancy,
)
from mixwise.decision.left_prior import PriorFacts
from mixwise.limit import Limit
from mixwise.report.canvas import shorten, with_unit
from mixwise.report.contents import Contents
from mixwise.report.palette import looks
from mixwise.study.results import BothAnswers, MetricFacts
from mixwise.study.surface import MetricSurface, ProcessFacts, SurfaceFound

MOST_LETTERS = 900_000  # of packed numbers; the page as a whole stays below 1.5 MB
MOST_WORK = 1.5e9  # multiplications that the page may spend on factors of covariances


def explorer_data(contents: Contents) -> dict[str, Any] | None:
    """Everything that the page's script predicts mixtures from.

    Args:
        contents: Of the study.

    Returns:
        A value that JSON can hold; None where the study has no recommendation or no surrogate.
    """
    surface, found, search = contents.surface, contents.recommendation, contents.search
    if surface is None or found is None or search is None:
        return None
    look = looks(surface.domains)
    bounds = [search.bounds[name] for name in surface.domains]
    return {
        "domains": [
            {"name": n, "short": shorten(n), "colour": look[n].colour, "dash": look[n].dash}
            for n in surface.domains
        ],
        "lower": [low for low, _ in bounds],
        "upper": [high for _, high in bounds],
        "limits": [_limit(limit) for limit in search.limits],
        "prior": None if found.prior is None else _prior(found.prior, surface.domains),
        "recommended": _shares(found.score.shares, surface.domains),
        "starts": [
            {"name": name, "shares": _shares(shares, surface.domains)}
            for name, shares in starts(contents)
        ],
        "points": pack(surface.points),
        "aggregation": surface.aggregation,
        "error": surface.error,
        "final_seeds": surface.final_seeds,
        "most_work": MOST_WORK,
        "metrics": [_metric(row, contents.metrics.get(row.metric)) for row in shown(surface)],
        "missed": _missed(compact_posterior(contents)),
    }


def starts(contents: Contents) -> list[tuple[str, dict[str, float]]]:
    """Mixtures that the reader may start from, by name: the recommended one first."""
    found = contents.recommendation
    if found is None:
        return []
    named = [(row.name, row.score.shares) for row in found.baselines]
    return [("recommended", found.score.shares), *named]


def shown(surface: SurfaceFound) -> tuple[MetricSurface, ...]:
    """The metrics that the page can carry: those of the objective, and others while there is room.

    Args:
        surface: Of the study.
    """
    n_letters, kept = 0, []
    for row in surface.metrics:
        n_letters += sum(11 * _n_numbers(process) for process in row.processes)
        is_needed = row.weight > 0 or row.floor is not None
        if is_needed or n_letters <= MOST_LETTERS:
            kept.append(row)
    return tuple(kept)


def _n_numbers(process: ProcessFacts) -> int:
    return len(process.values) + sum(map(len, process.slopes))


def compact_posterior(contents: Contents) -> CompactDiscrepancy:
    """What the proxy is expected to miss, learned from the study's references as its search did."""
    found = contents.recommendation
    assert found is not None  # whoever calls has one
    rows: list[BothAnswers] = []
    rows += contents.calibration.mixtures if contents.calibration else ()
    rows += contents.validation.mixtures if contents.validation else ()
    continued = found.horizons.error
    trained = each_mixture_once([_trained(row) for row in rows])
    if trained:
        return compact(fit_discrepancy(trained, continued=continued))
    return compact(prior_discrepancy(len(found.mixture.domains), continued=continued))


def _trained(row: BothAnswers) -> Trained:
    assert row.proxy.mixture is not None  # the base is no reference
    return Trained(
        shares=row.proxy.mixture.array,
        proxy=row.proxy.objective,
        references=np.array([run.objective for run in row.runs]),
        seeds=tuple(run.seed for run in row.runs),
    )


def _metric(row: MetricSurface, facts: MetricFacts | None) -> dict[str, Any]:
    unit = facts.unit if facts else ""
    return {
        "name": row.metric,
        "label": shorten(row.metric) + with_unit(unit),
        "unit": unit,
        "direction": row.direction,
        "weight": row.weight,
        "base": row.base,
        "spread": row.spread,
        "floor": row.floor,
        "group": row.group,
        "error": row.error,
        "processes": [_process(process) for process in row.processes],
    }


def _process(process: ProcessFacts) -> dict[str, Any]:
    kernel = process.kernel
    return {
        "factor": process.factor,
        "kernel": {
            "curvature": kernel.curvature,
            "remainder": kernel.remainder,
            "length": kernel.length,
            "noise": kernel.noise,
        },
        "variance": process.variance,
        "mean": process.mean,
        "asymptote": process.asymptote,
        "sloped": list(process.sloped),
        "values": pack(process.values),
        "slopes": pack(process.slopes),
    }


def _missed(found: CompactDiscrepancy) -> dict[str, Any]:
    return {
        "known": pack(found.known),
        "linear": pack(found.linear),
        "quadratic": pack(found.quadratic),
        "own": OWN,
        "size": found.size,
        "single": found.single,
        "level": found.level,
        "noise": found.noise,
    }


def _limit(limit: Limit) -> dict[str, Any]:
    """In shares: divided by its largest coefficient, so that one tolerance serves all."""
    least, most = (end if end is None else end / limit.scale for end in (limit.least, limit.most))
    row = [coefficient / limit.scale for coefficient in limit.coefficients]
    return {"name": limit.name, "coefficients": row, "least": least, "most": most}


def _prior(found: PriorFacts, domains: Iterable[str]) -> dict[str, Any]:
    return {"shares": _shares(found.mixture.as_dict(), domains), "weight": found.weight}


def pack(rows: npt.ArrayLike | Sequence[Sequence[float]]) -> str:
    """Numbers as base64 of little-endian doubles, row by row.

    Example:
        >>> pack([1.0, 2.0])
        'AAAAAAAA8D8AAAAAAAAAQA=='
    """
    numbers = np.asarray(rows, dtype="<f8")
    return base64.b64encode(numbers.tobytes()).decode("ascii")


def _shares(shares: dict[str, float], domains: Iterable[str]) -> list[float]:
    return [shares[name] for name in domains]
