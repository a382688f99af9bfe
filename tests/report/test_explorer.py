"""What the page computes, against Python: sliders are moved in a real browser, numbers are read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, expect
from tests.report.conftest import Parts, save
from tests.report.surfaces import add_surface, fit
from tests.report.visits import Visit

from mixwise.decision.left_prior import PriorFacts
from mixwise.mixture import Limit, Mixture
from mixwise.prior import Prior
from mixwise.report import explore
from mixwise.report.explore import compact_posterior, shown
from mixwise.report.page import save_report
from mixwise.report.reading import load_contents
from mixwise.search.space.simplex import sample
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
    found = visit.page.eval_on_selector_all(
        ".sliders output", "all => all.map(one => Number(one.dataset.value))"
    )
    assert len(found) == n
    return np.array(found)


def metric_values(visit: Visit) -> list[list[float]]:
    """Predicted value and half interval of each metric."""
    found: list[list[float]] = visit.page.eval_on_selector_all(
        "[id^=metric-]",
        "rows => rows.map(row => [...row.querySelectorAll('td')].slice(0, 2)"
        ".map(cell => Number(cell.dataset.value)))",
    )
    return found


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


@pytest.mark.parametrize(
    ("case", "stages"),
    [
        *((case, None) for case in CASES if case is not CASES[1]),
        (CASES[1], ("search",)),
        pytest.param(CASES[1], None, marks=pytest.mark.slow),
    ],
    ids=[
        *("-".join(case) for case in CASES if case is not CASES[1]),
        "unverified",
        "-".join(CASES[1]),
    ],
)
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
        for row, (predicted, seen) in zip(shown(found), metric_values(visit), strict=True):
            assert predicted == pytest.approx(means[row.metric], rel=1e-6)
            half = 1.96 * np.hypot(deviations[row.metric], row.error or 0.0)
            assert seen == pytest.approx(half, rel=1e-6, abs=1e-6 * row.spread)
        proxy = objective(found, means)
        missed, deviation = (float(x[0]) for x in posterior.predict(point[None]))
        assert value(visit, "#by-proxy") == pytest.approx(proxy, rel=1e-6)
        assert value(visit, "#expected") == pytest.approx(proxy + missed, rel=1e-6)
        own = own_deviation(found, means, deviations)
        noise = posterior.noise / np.sqrt(found.final_seeds)
        error = found.error or 0.0
        low = proxy + missed - 1.96 * np.sqrt(deviation**2 + noise**2 + own**2 + error**2)
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


THREE: Mapping[str, Any] = {"domains": ("math", "code", "web")}


def test_all_references_tell_what_the_proxy_misses(make_study: MakeStudy) -> None:
    folder, _, _ = open_study(make_study, THREE)
    assert len(compact_posterior(load_contents(folder)).known) == 2 + 8
    plain, _, _ = open_study(make_study, THREE, ("search",))
    assert len(compact_posterior(load_contents(plain)).known) == 0


def test_shares_stay_within_bounds(browser: Browser, make_study: MakeStudy) -> None:
    folder, _, _ = open_study(make_study, {**THREE, "upper": 0.6})
    visit = Visit(browser, save_report(folder), 1280)
    move(visit, 0, 0.9)
    point = shares(visit, 3)
    assert point[0] == pytest.approx(0.6)
    assert point.sum() == pytest.approx(1)
    assert point[1] / point[2] == pytest.approx(2.0)  # in the proportions that they had


def test_a_share_that_is_kept_stays(browser: Browser, make_study: MakeStudy) -> None:
    folder, _, _ = open_study(make_study, THREE)
    visit = Visit(browser, save_report(folder), 1280)
    kept = shares(visit, 3)[1]
    visit.page.get_by_label("keep the share of code").check()
    assert visit.page.locator("#share-1").is_disabled()
    move(visit, 0, 0.1)
    assert shares(visit, 3).tolist() == pytest.approx([0.1, kept, 0.9 - kept])
    move(visit, 0, 0.99)  # no more than the others leave
    assert shares(visit, 3).tolist() == pytest.approx([1 - kept, kept, 0.0])
    move(visit, 0, 0.2)  # a share at zero grows again
    assert shares(visit, 3).tolist() == pytest.approx([0.2, kept, 0.8 - kept])


def test_limits_are_kept_as_shares_move(browser: Browser, make_study: MakeStudy) -> None:
    folder, _, _ = open_study(make_study, THREE)
    limit = Limit("less code than math", (1.0, -1.0, 0.0), 0.0, None)
    most = Limit("little web and code", (0.0, 0.5, 1.0), None, 0.5)
    search = load_contents(folder).search
    assert search is not None
    dear = Limit("cost of the run", (1.7e7, 0.0, 3e6), None, 1.3e7)
    save(folder, replace(search, limits=(limit, most, dear)))
    visit = Visit(browser, save_report(folder), 1280)
    for k, share in ((0, 0.05), (1, 0.9), (2, 0.7), (0, 0.45), (1, 0.0), (2, 0.2)):
        move(visit, k, share)
        math, code, web = shares(visit, 3)
        assert math + code + web == pytest.approx(1)
        assert math >= code - 1e-8
        assert web + code / 2 <= 0.5 + 1e-8
        assert 1.7 * math + 0.3 * web <= 1.3 + 1e-7
        assert visit.page.locator("#outside").is_hidden()
    assert visit.troubles == []


def test_leaving_the_prior_costs_what_it_costs_in_python(
    browser: Browser, make_study: MakeStudy
) -> None:
    folder, _, _ = open_study(make_study, THREE)
    found = load_contents(folder).recommendation
    assert found is not None
    prior = Prior(Mixture(("math", "code", "web"), (0.2, 0.7, 0.1)), 3.0)
    save(folder, replace(found, prior=PriorFacts.of(prior, found.mixture)))
    visit = Visit(browser, save_report(folder), 1280)
    for k, share in ((0, 0.625), (1, 0.0), (2, 1.0)):
        move(visit, k, share)
        taken = float(prior.penalty(shares(visit, 3)[None])[0])
        shown = value(visit, "#expected") - value(visit, "#compared")
        assert shown == pytest.approx(taken, rel=1e-6)
    visit.page.click("#improve")
    move_done(visit)
    near = shares(visit, 3)
    assert np.abs(near - prior.mixture.array).max() < 0.15  # the weight outweighs all gains
    assert visit.troubles == []


def test_the_best_mixture_is_found_where_wishes_are_kept(
    browser: Browser, make_study: MakeStudy
) -> None:
    folder, surface, found = open_study(make_study, THREE)
    visit = Visit(browser, save_report(folder), 1280)
    names = [metric.name for metric in surface.problem.objective.metrics]
    start = shares(visit, 3)
    before = surface.metrics(start[None])[0][names.index("math/loss")]
    goal = [row.metric for row in shown(found)].index("code/loss")
    visit.page.select_option("#goal", str(goal))
    visit.page.get_by_label("math/loss: at most so much worse").fill("0.05")
    visit.page.click("#improve")
    assert visit.page.text_content("#improved") == (
        "This mixture is the best that was found; every wish is kept."
    )
    visit.page.wait_for_function("document.querySelector('#slider-2 output').textContent != ''")
    move_done(visit)
    point = shares(visit, 3)
    values = surface.metrics(point[None])[0]
    assert values[names.index("math/loss")] <= before + 0.05 + 1e-6
    grid = sample(surface.problem.space, 4000, seed=0)
    predicted = surface.metrics(grid)
    allowed = predicted[:, names.index("math/loss")] <= before + 0.05
    best = predicted[allowed, names.index("code/loss")].min()
    assert values[names.index("code/loss")] <= best + 1e-3


def move_done(visit: Visit) -> None:
    visit.page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")


def test_the_reader_starts_from_a_baseline_by_keyboard(
    browser: Browser, make_study: MakeStudy
) -> None:
    folder, _, _ = open_study(make_study, THREE)
    visit = Visit(browser, save_report(folder), 1280)
    visit.page.select_option("#start", label="uniform")
    move_done(visit)
    assert shares(visit, 3).tolist() == pytest.approx([1 / 3] * 3)
    visit.page.locator("#share-0").focus()
    visit.page.keyboard.press("ArrowRight")
    move_done(visit)
    assert shares(visit, 3)[0] == pytest.approx(0.334, abs=2e-3)
    assert visit.page.locator("#share-0").get_attribute("aria-valuetext") is not None


def test_profiles_and_the_triangle_follow_the_metric(
    browser: Browser, make_study: MakeStudy
) -> None:
    folder, _, _ = open_study(make_study, {"domains": SEVEN})
    visit = Visit(browser, save_report(folder), 1280)
    title = "#chart-profiles .ytitle"
    assert visit.page.text_content(title) == "objective that training should reach"
    visit.page.select_option("#shown-metric", label="web/loss")
    move_done(visit)
    assert (visit.page.text_content(title) or "").startswith("web/loss")
    assert visit.page.locator("#ternary polygon").count() == 24**2
    visit.page.select_option("#corner-0", label="web")
    visit.page.select_option("#corner-1", label="web")
    move_done(visit)
    assert visit.page.text_content("#ternary-words") == "Choose three different domains."
    assert visit.troubles == []


def test_metrics_that_do_not_fit_are_left_out_and_counted(
    make_study: MakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _, found = open_study(make_study, THREE)
    monkeypatch.setattr(explore, "MOST_LETTERS", 10)
    kept = [row.metric for row in shown(found)]
    assert kept == ["math/loss", "code/loss", "quiz/accuracy"]  # those of the objective
    assert "2 metrics outside of the objective are left out" in save_report(folder).read_text()


def test_deviations_that_would_take_minutes_are_left_out_and_that_is_said(
    browser: Browser, make_study: MakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _, found = open_study(make_study, THREE)
    row, *others = found.metrics
    save(folder, replace(found, metrics=(replace(row, error=None), *others)))
    assert Visit(browser, save_report(folder), 1280).page.locator("#no-deviations").is_hidden()
    monkeypatch.setattr(explore, "MOST_WORK", 1)
    visit = Visit(browser, save_report(folder), 1280)
    assert visit.page.locator("#no-deviations").is_visible()
    assert visit.page.text_content("#metric-0 td:nth-of-type(2)") == "—"
    half = value(visit, "#metric-1 td:nth-of-type(2)")
    assert half == pytest.approx(1.96 * (others[0].error or 0.0))
    assert visit.troubles == []


def test_the_longest_names_fit_on_a_phone(browser: Browser, make_study: MakeStudy) -> None:
    folder, _, _ = open_study(make_study, {"domains": tuple(k * 64 for k in "xyz")})
    assert Visit(browser, save_report(folder), 400).overflow() <= 0


def test_a_study_without_a_surrogate_shows_the_profiles_that_it_has(
    browser: Browser, make_study: MakeStudy
) -> None:
    visit = Visit(browser, save_report(make_study()), 1280)
    assert visit.page.locator("#explorer").count() == 0
    assert visit.page.locator("#chart-profiles .js-line").count() >= 3


def test_a_page_of_many_domains_and_metrics_stays_small(make_study: MakeStudy) -> None:
    domains = tuple(f"a-very-long-name-of-a-dataset.with_parts-{k:02}" for k in range(24))
    found = of_size(fit(THREE["domains"])[1], domains, n_points=60, n_metrics=60)
    folder = make_study(domains=domains)
    add_surface(folder, Parts(domains, "lattice"), found)
    text = save_report(folder).read_text()
    assert 1_000_000 < len(text.encode()) < 1_500_000
    assert "metrics outside of the objective are left out" in text


def test_many_domains_are_moved_filtered_and_printed(
    browser: Browser, make_study: MakeStudy
) -> None:
    domains = tuple(f"{'long-' * 5}{k:02}" for k in range(14))
    folder = make_study(domains=domains)
    found = of_size(fit(THREE["domains"])[1], domains, n_points=2, n_metrics=1)
    add_surface(folder, Parts(domains, "lattice"), found)
    visit = Visit(browser, save_report(folder), 1280)
    visit.page.locator("#share-13").scroll_into_view_if_needed()
    expect(visit.page.locator("#expected")).to_be_in_viewport()
    visit.page.locator("#filter").fill(domains[12])  # one of the shares that a row leaves out
    assert visit.page.text_content("#leaderboard-count") == "3 of 16"
    scrolls = "[...document.querySelectorAll('.legend')].map(e => e.scrollHeight - e.clientHeight)"
    assert max(visit.page.evaluate(scrolls)) <= 0  # what scrolls must be reached by keyboard
    visit.page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    visit.page.set_viewport_size({"width": 660, "height": 900})
    visit.page.emulate_media(media="print")
    assert visit.overflow() <= 0
    assert visit.troubles == []


def of_size(
    found: SurfaceFound, domains: Sequence[str], n_points: int, n_metrics: int
) -> SurfaceFound:
    """A surface with as many numbers as a larger one; what they are is not asked."""
    n = len(domains)
    row = found.metrics[0]
    process = replace(
        row.processes[0],
        sloped=tuple(range(n_points)),
        values=(0.1,) * n_points,
        slopes=((0.1,) * n,) * n_points,
    )
    metrics = [
        replace(row, metric=f"{k}/loss", weight=float(k == 0), processes=(process,))
        for k in range(n_metrics)
    ]
    points = ((1 / n,) * n,) * n_points
    return replace(found, domains=tuple(domains), points=points, metrics=tuple(metrics))
