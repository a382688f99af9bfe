"""What the page computes, against Python: sliders are moved in a real browser, numbers are read."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser
from tests.report.conftest import Parts
from tests.report.surfaces import add_surface, fit
from tests.report.visits import Visit

from mixwise.report.explore import compact_posterior, shown
from mixwise.report.page import save_report
from mixwise.report.reading import load_contents
from mixwise.search.surrogates.objective_model import Surface
from mixwise.study.surface import SurfaceFound

MakeStudy = Callable[..., Path]
SEVEN = ("math", "code", "web", "books", "news", "law", "chat")
CASES: Sequence[Mapping[str, Any]] = (
    {"domains": ("math", "code")},
    {"domains": ("math", "code", "web"), "has_floors": True},
    {"domains": ("math", "code", "web"), "aggregation": "worst", "has_groups": True},
    {"domains": ("math", "code", "web"), "has_slopes": False, "n_points": 12},
    {"domains": SEVEN, "has_floors": True, "has_groups": True},
)


def open_study(
    make_study: MakeStudy, case: Mapping[str, Any], stages: Sequence[str] | None = None
) -> tuple[Path, Surface, SurfaceFound]:
    domains = case["domains"]
    kept = {} if stages is None else {"stages": stages}
    folder = make_study(domains=domains, **kept)
    surface, found = fit(**case)
    add_surface(folder, Parts(tuple(domains), "lattice"), found, upper=case.get("upper", 1.0))
    return folder, surface, found


def move(visit: Visit, k: int, share: float) -> None:
    visit.page.locator(f"#share-{k}").evaluate(
        "(slider, share) => { slider.value = share; slider.dispatchEvent(new Event('input')); }",
        share,
    )
    visit.page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")


def value(visit: Visit, selector: str) -> float:
    found = visit.page.locator(selector).get_attribute("data-value")
    assert found, selector
    return float(found)


def shares(visit: Visit, n: int) -> np.ndarray:
    return np.array([value(visit, f"#slider-{k} output") for k in range(n)])


def objective(found: SurfaceFound, values: Mapping[str, float], group: str | None = None) -> float:
    """By the definition at the head of `mixwise.objective`, written out."""
    gains, lost = [], 0.0
    for row in found.metrics:
        if not row.spread:
            continue
        sign = 1 if row.direction == "max" else -1
        gain = sign * (values[row.metric] - row.base) / row.spread
        if row.floor is not None:
            lost += max(sign * (row.floor - row.base) / row.spread - gain, 0.0)
        if row.weight and group in (None, row.group):
            gains.append((gain, row.weight))
    if found.aggregation == "worst":
        return min(gain for gain, _ in gains) - 10 * lost
    return sum(g * w for g, w in gains) / sum(w for _, w in gains) - 10 * lost


@pytest.mark.parametrize("stages", [("search",), None], ids=["unverified", "verified"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)))
def test_numbers_are_those_of_python(
    browser: Browser, make_study: MakeStudy, case: Mapping[str, Any], stages: Sequence[str] | None
) -> None:
    folder, surface, found = open_study(make_study, case, stages)
    visit = Visit(browser, save_report(folder), 1280)
    names = [metric.name for metric in surface.problem.objective.metrics]
    posterior = compact_posterior(load_contents(folder))
    n = len(case["domains"])
    for k, share in ((0, 0.625), (1, 0.125), (n - 1, 0.3)):
        move(visit, k, share)
        point = shares(visit, n)
        assert point[k] == pytest.approx(share, abs=1e-12)
        assert point.sum() == pytest.approx(1, abs=1e-12)
        means = dict(zip(names, surface.metrics(point[None])[0], strict=True))
        deviations = {
            name: float(model.deviation(point[None])[0])
            for name, model in zip(names, surface.models, strict=True)
        }
        for j, row in enumerate(shown(found)):
            cells = f"#metric-{j} td:nth-of-type"
            assert value(visit, f"{cells}(1)") == pytest.approx(means[row.metric], rel=1e-6)
            seen = value(visit, f"{cells}(2)")
            assert seen == pytest.approx(deviations[row.metric], rel=1e-6, abs=1e-6 * row.spread)
        proxy = objective(found, means)
        missed, deviation = (float(x[0]) for x in posterior.predict(point[None]))
        assert value(visit, "#by-proxy") == pytest.approx(proxy, rel=1e-6)
        assert value(visit, "#expected") == pytest.approx(proxy + missed, rel=1e-6)
        own = own_deviation(found, means, deviations)
        noise = posterior.noise / np.sqrt(found.final_seeds)
        low = proxy + missed - 1.96 * np.sqrt(deviation**2 + noise**2 + own**2)
        assert value(visit, "#expected-interval") == pytest.approx(low, rel=1e-6, abs=1e-6)
        for group in {row.group for row in found.metrics} - {None}:
            gain = objective(found, means, group)
            assert value(visit, f'[data-group="{group}"]') == pytest.approx(gain, rel=1e-6)
    assert visit.troubles == []


def own_deviation(
    found: SurfaceFound, means: Mapping[str, float], deviations: Mapping[str, float]
) -> float:
    rows = [row for row in found.metrics if row.weight and row.spread]
    if found.aggregation == "worst":

        def gain(row: Any) -> float:
            sign = 1 if row.direction == "max" else -1
            return sign * (means[row.metric] - row.base) / row.spread

        worst = min(rows, key=gain)
        return deviations[worst.metric] / worst.spread
    total = sum(row.weight for row in rows)
    parts = [row.weight * deviations[row.metric] / row.spread / total for row in rows]
    return float(np.sqrt(sum(part**2 for part in parts)))
