import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixwise.mixture import Mixture
from mixwise.share_units import convert_shares, largest_shares, safe_caps

TOKENS = {"chat": 400, "text": 400}
LEARNED = {"chat": 100, "text": 400}
AMOUNTS = st.lists(st.integers(1, 1000), min_size=6, max_size=6)


def three(numbers: list[int]) -> dict[str, int]:
    return dict(zip("abc", numbers, strict=True))


def test_a_share_of_few_learned_tokens_is_many_tokens() -> None:
    mixture = Mixture(("chat", "text"), (0.5, 0.5))
    assert convert_shares(mixture, LEARNED, TOKENS).shares == (0.8, 0.2)
    assert convert_shares(mixture, TOKENS, LEARNED).shares == (0.2, 0.8)


def test_the_same_unit_leaves_the_mixture_as_it_is() -> None:
    mixture = Mixture(("chat", "text"), (1 / 3, 2 / 3))
    assert convert_shares(mixture, LEARNED, dict(LEARNED)) is mixture


def test_one_domain_is_all_of_every_unit() -> None:
    alone = Mixture(("chat", "text"), (1.0, 0.0))
    assert convert_shares(alone, LEARNED, TOKENS) == alone


def test_what_there_is_read_once_has_the_shares_of_each_unit() -> None:
    available = Mixture.proportional(LEARNED)
    assert convert_shares(available, LEARNED, TOKENS) == Mixture.proportional(TOKENS)


@given(AMOUNTS, st.integers(0, 2**31))
def test_there_and_back_is_where_it_began(amounts: list[int], seed: int) -> None:
    have, want = three(amounts[:3]), three(amounts[3:])
    mixture = Mixture(tuple("abc"), tuple(np.random.default_rng(seed).dirichlet(np.ones(3))))
    back = convert_shares(convert_shares(mixture, have, want), want, have)
    assert np.allclose(back.array, mixture.array, atol=1e-2)  # shares lie on a grid of 1e-9


@given(AMOUNTS, st.floats(0.01, 0.99))
def test_a_safe_cap_is_reached_by_the_lightest_rest_and_never_passed(
    amounts: list[int], cap: float
) -> None:
    have, want = three(amounts[:3]), three(amounts[3:])
    safe = safe_caps(dict.fromkeys("abc", cap), have, want)
    assert largest_shares(safe, have, want) == pytest.approx(dict.fromkeys("abc", cap))
    rest = 1 - safe["a"]
    reached = [
        want["a"]
        / have["a"]
        * safe["a"]
        / (want["a"] / have["a"] * safe["a"] + want[other] / have[other] * rest)
        for other in "bc"
    ]
    assert max(reached) == pytest.approx(cap)


def test_what_is_not_limited_stays_so() -> None:
    assert safe_caps({"chat": 4.0, "text": 1.0}, LEARNED, TOKENS) == {"chat": 4.0, "text": 1.0}
