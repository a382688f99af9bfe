import numpy as np
import pytest
from tests.decision.tables import OBJECTIVE, SCALE, Formula, peak

from mixwise.decision.binding import Binding, find_binding
from mixwise.decision.recommend import recommend
from mixwise.mixture import Limit, Mixture, MixtureSpace

NONE, ALL = (0.0,) * 3, (1.0,) * 3
DOMAINS = ("a", "b", "c")


def found_in(
    space: MixtureSpace, at: tuple[float, float, float]
) -> tuple[Mixture, tuple[Binding, ...]]:
    decision = recommend(Formula(peak(*at)), space, OBJECTIVE, SCALE, prefer="none", method="bayes")
    return decision.mixture, find_binding(decision.calibrated, decision.mixture)


def test_nothing_binds_where_the_best_lies_inside() -> None:
    joint = Limit("a + b", (1.0, 1.0, 0.0), None, 0.9)
    mixture, found = found_in(MixtureSpace(DOMAINS, NONE, ALL, (joint,)), (0.4, 0.3, 0.3))
    assert mixture.array == pytest.approx([0.4, 0.3, 0.3], abs=0.03)
    assert found == ()


def test_a_limit_that_binds_gains_what_loosening_it_does() -> None:
    """With a + b ≤ c and p = (.6, .3, .1), 1 − 4|λ − p|² is at most 1 − 4 · 3/2 · (0.9 − c)²."""
    joint = Limit("a + b", (1.0, 1.0, 0.0), None, 0.7)
    mixture, found = found_in(MixtureSpace(DOMAINS, NONE, ALL, (joint,)), (0.6, 0.3, 0.1))
    assert mixture.array == pytest.approx([0.5, 0.2, 0.3], abs=0.02)
    [row] = found
    assert (row.name, row.side, row.end) == ("a + b", "most", 0.7)
    assert row.gain == pytest.approx(0.01 * 12 * 0.2, rel=0.2)


def test_bounds_bind_by_their_names_and_zero_shares_do_not() -> None:
    space = MixtureSpace(DOMAINS, (0.0, 0.2, 0.0), (0.5, 1.0, 1.0))
    mixture, found = found_in(space, (1.0, 0.0, 0.0))
    assert mixture.array[0] == pytest.approx(0.5, abs=1e-6)
    assert (found[0].name, found[0].side) == ("bounds.a", "most")
    assert all(row.name in ("bounds.a", "bounds.b") for row in found)


def test_what_is_fixed_is_told_once() -> None:
    fixed = Limit("a = b", (1.0, -1.0, 0.0), 0.0, 0.0)
    _, found = found_in(MixtureSpace(DOMAINS, NONE, ALL, (fixed,)), (0.6, 0.2, 0.2))
    assert [row.name for row in found] == ["a = b"]
    assert found[0].side == "most"
    assert found[0].gain > 0


def test_a_mixture_on_a_limit_that_gains_nothing_is_told_with_no_gain() -> None:
    joint = Limit("a + b", (1.0, 1.0, 0.0), None, 0.7)
    space = MixtureSpace(DOMAINS, NONE, ALL, (joint,))
    decision = recommend(Formula(peak(0.2, 0.2, 0.6)), space, OBJECTIVE, SCALE, method="bayes")
    on = Mixture(DOMAINS, (0.4, 0.3, 0.3))
    [row] = find_binding(decision.calibrated, on)
    assert row.gain == pytest.approx(0, abs=1e-6)
    assert np.isfinite(row.gain)


def test_a_side_that_cuts_nothing_off_does_not_bind() -> None:
    both = Limit("groups.both", (1.0, 1.0, 0.0), 0.0, 1.0)
    mixture, found = found_in(MixtureSpace(DOMAINS, NONE, ALL, (both,)), (0.0, 0.0, 1.0))
    assert mixture.array[2] == pytest.approx(1, abs=1e-3)
    assert found == ()
