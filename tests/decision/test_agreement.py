from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau, spearmanr

from mixwise.decision.agreement import (
    Array,
    Figures,
    agreement_rows,
    kendall_rows,
    spearman_rows,
)


def one_draw(proxy: Array, reference: Array, sign: int = 1) -> Figures[float]:
    return agreement_rows(proxy[None], reference[None], sign=sign).map(lambda row: float(row[0]))


def slow_regret(proxy: Array, reference: Array, sign: int, k: int) -> float:
    """Go down the proxy's list by hand."""
    order = sorted(range(len(proxy)), key=lambda i: -sign * proxy[i])
    return float(max(sign * reference) - max(sign * reference[i] for i in order[:k]))


@given(st.integers(2, 12), st.integers(1, 6), st.integers(0, 10_000))
@settings(deadline=None, max_examples=50)
def test_rank_correlations_equal_scipy_row_by_row_with_ties(n: int, levels: int, seed: int) -> None:
    x, y = np.random.default_rng(seed).integers(0, levels, (2, 5, n)).astype(float)
    for i in range(5):
        constant = np.ptp(x[i]) == 0 or np.ptp(y[i]) == 0
        for ours, theirs in ((spearman_rows, spearmanr), (kendall_rows, kendalltau)):
            figure = ours(x, y)[i]
            if constant:
                assert np.isnan(figure)
            else:
                assert figure == pytest.approx(theirs(x[i], y[i]).statistic, abs=1e-12)


@given(st.integers(6, 15), st.sampled_from([1, -1]), st.integers(0, 10_000))
@settings(deadline=None, max_examples=50)
def test_regret_is_what_going_down_the_list_loses(n: int, sign: int, seed: int) -> None:
    proxy, reference = np.random.default_rng(seed).normal(size=(2, n))
    found = one_draw(proxy, reference, sign)
    assert found.regret == pytest.approx(slow_regret(proxy, reference, sign, 1))
    assert found.regret_of_five == pytest.approx(slow_regret(proxy, reference, sign, 5))
    assert found.regret >= found.regret_of_five >= 0


def test_each_draw_is_told_as_if_it_were_alone() -> None:
    proxy, reference = np.random.default_rng(0).normal(size=(2, 4, 12))
    together = agreement_rows(proxy, reference, sign=-1)
    for k in range(4):
        assert one_draw(proxy[k], reference[k], -1) == together.map(lambda row, k=k: float(row[k]))  # type: ignore[misc]


@pytest.mark.parametrize("sign", [1, -1])
def test_the_top_quarter_is_the_best_by_the_reference(sign: int) -> None:
    reference = sign * np.arange(12.0)
    proxy = reference.copy()
    proxy[-3:] = proxy[-3:][::-1].copy()  # the three best are ranked the wrong way round
    found = one_draw(proxy, reference, sign)
    assert found.top_quarter == pytest.approx(-1)
    assert found.spearman > 0.9


@pytest.mark.parametrize(("n", "defined"), [(8, False), (9, True), (12, True)])
def test_a_quarter_of_fewer_than_three_has_no_rank(n: int, defined: bool) -> None:
    x = np.arange(float(n))
    assert np.isfinite(one_draw(x, x).top_quarter) == defined


@pytest.mark.parametrize(("n", "defined"), [(1, False), (5, False), (6, True)])
def test_five_picks_of_five_lose_nothing_and_say_nothing(n: int, defined: bool) -> None:
    x = np.arange(float(n))
    found = one_draw(x, x)
    assert np.isfinite(found.regret_of_five) == defined
    assert found.regret == 0


def test_ties_of_the_proxy_are_picked_in_the_given_order() -> None:
    assert one_draw(np.zeros(3), np.array([1.0, 3.0, 2.0])).regret == 2


def test_every_figure_is_mapped() -> None:
    x = np.arange(12.0)
    found = one_draw(x, x).map(str)
    assert all(isinstance(getattr(found, field.name), str) for field in fields(Figures))
