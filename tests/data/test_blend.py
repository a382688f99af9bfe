import subprocess
import sys
from collections import Counter
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mixwise.data.blend import Blend, allocate, blend
from mixwise.errors import DataError
from mixwise.mixture import Mixture

PRINT_A_BLEND = """
from mixwise.data.blend import blend
from mixwise.mixture import Mixture
made = blend(Mixture(("a", "b", "c"), (0.5, 0.3, 0.2)), 50, {"a": 7, "b": 90, "c": 3}, seed=5)
print(made.domain.tobytes().hex(), made.row.tobytes().hex())
"""
AVAILABLE = {"a": 7, "b": 90, "c": 3}
MIXTURE = Mixture(("a", "b", "c"), (0.5, 0.3, 0.2))


@st.composite
def mixtures(draw: st.DrawFn) -> Mixture:
    amounts = draw(st.lists(st.integers(0, 1000), min_size=1, max_size=7))
    assume(sum(amounts) > 0)
    return Mixture.proportional({f"d{i}": amount for i, amount in enumerate(amounts)})


def rows(made: Blend, name: str) -> list[int]:
    return made.row[made.domain == made.domains.index(name)].tolist()


def allocate_exactly(mixture: Mixture, n: int) -> list[int]:
    """Largest remainder in whole billionths, one sequence after the other."""
    quotas = [Fraction(round(share * 10**9), 10**9) * n for share in mixture.shares]
    counts = [int(quota) for quota in quotas]
    while sum(counts) < n:
        left = [quota - count for quota, count in zip(quotas, counts, strict=True)]
        counts[left.index(max(left))] += 1
    return counts


@pytest.mark.parametrize(
    ("shares", "n", "counts"),
    [
        ((0.5, 0.3, 0.2), 10, [5, 3, 2]),
        ((0.5, 0.3, 0.2), 4, [2, 1, 1]),
        ((0.6, 0.3, 0.1), 5, [3, 2, 0]),
        ((0.5, 0.5), 3, [2, 1]),
        ((0.25, 0.25, 0.25, 0.25), 2, [1, 1, 0, 0]),
        ((0.0, 1.0), 7, [0, 7]),
        ((0.7, 0.2, 0.1), 1, [1, 0, 0]),
    ],
)
def test_allocation_worked_by_hand(shares: tuple[float, ...], n: int, counts: list[int]) -> None:
    assert allocate(np.array(shares), n).tolist() == counts


@given(mixtures(), st.integers(1, 10_000))
@settings(deadline=None, max_examples=300)
def test_allocation_is_off_by_less_than_one_sequence(mixture: Mixture, n: int) -> None:
    counts = allocate(mixture.array, n)
    assert counts.sum() == n
    assert (np.abs(counts - mixture.array * n) < 1).all()
    assert (counts[mixture.array == 0] == 0).all()


@given(mixtures(), st.integers(1, 10_000))
@settings(deadline=None, max_examples=300)
def test_allocation_equals_the_slow_largest_remainder(mixture: Mixture, n: int) -> None:
    quotas = [Fraction(round(share * 10**9), 10**9) * n for share in mixture.shares]
    remainders = sorted(float(quota % 1) for quota in quotas)
    assume(all(high - low > 1e-5 for low, high in pairwise(remainders)))
    assert allocate(mixture.array, n).tolist() == allocate_exactly(mixture, n)


def test_a_blend_holds_the_allocated_sequences() -> None:
    made = blend(MIXTURE, 50, AVAILABLE, seed=0)
    assert made.counts == (25, 15, 10)
    assert made.repetitions == pytest.approx((25 / 7, 15 / 90, 10 / 3))
    assert made.domain.shape == made.row.shape == (50,)


def test_a_one_hot_mixture_reads_that_domain_alone() -> None:
    made = blend(Mixture.single("abc", "b"), 90, AVAILABLE, seed=0)
    assert made.counts == (0, 90, 0)
    assert sorted(made.row.tolist()) == list(range(90))
    assert made.repetitions == (0, 1, 0)


@given(st.integers(1, 12), st.integers(1, 60), st.integers(0, 5))
@settings(deadline=None, max_examples=100)
def test_every_row_is_read_equally_often_up_to_one(available: int, count: int, seed: int) -> None:
    made = blend(Mixture(("a",), (1.0,)), count, {"a": available}, seed=seed)
    times = Counter(rows(made, "a"))
    assert {times[row] for row in range(available)} <= {count // available, -(-count // available)}
    assert set(times) <= set(range(available))


def test_each_epoch_has_an_order_of_its_own() -> None:
    made = blend(Mixture(("a",), (1.0,)), 200, {"a": 100}, seed=0)
    first, second = (
        np.random.default_rng(0).permutation(200).argsort()[half]
        for half in (slice(0, 100), slice(100, 200))
    )
    assert sorted(made.row[first]) == sorted(made.row[second]) == list(range(100))
    assert made.row[first].tolist() != made.row[second].tolist()


def test_the_order_of_a_domain_does_not_depend_on_its_neighbours() -> None:
    alone = blend(Mixture.single("ab", "a"), 10, {"a": 40, "b": 40}, seed=3)
    mixed = blend(Mixture(("x", "a"), (0.5, 0.5)), 20, {"x": 9, "a": 40}, seed=3)
    assert sorted(rows(alone, "a")) == sorted(rows(mixed, "a"))


def test_domains_of_one_size_are_read_in_different_orders() -> None:
    made = blend(Mixture.uniform("ab"), 20, {"a": 1000, "b": 1000}, seed=0)
    assert sorted(rows(made, "a")) != sorted(rows(made, "b"))


def test_the_same_call_gives_the_same_bytes_in_another_process() -> None:
    made = blend(MIXTURE, 50, AVAILABLE, seed=5)
    done = subprocess.run(
        [sys.executable, "-c", PRINT_A_BLEND], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [made.domain.tobytes().hex(), made.row.tobytes().hex()]


def test_another_seed_gives_another_order_and_the_same_counts() -> None:
    first, other = (blend(MIXTURE, 50, AVAILABLE, seed=seed) for seed in (1, 2))
    assert first.counts == other.counts
    assert first.domain.tolist() != other.domain.tolist()
    assert rows(first, "b") != rows(other, "b")


def test_domains_are_spread_over_the_run() -> None:
    made = blend(Mixture.uniform("ab"), 1000, {"a": 10, "b": 10}, seed=0)
    for part in np.split(made.domain, 10):
        assert 25 <= part.sum() <= 75


@pytest.mark.parametrize("n", [1, 50])
def test_a_domain_without_a_sequence_is_refused(n: int) -> None:
    with pytest.raises(DataError, match=r"`a` has no whole training sequence, .*add data or lower"):
        blend(MIXTURE, n, AVAILABLE | {"a": 0}, seed=0)


def test_a_domain_without_a_sequence_and_without_a_share_is_no_problem() -> None:
    made = blend(Mixture.single("abc", "b"), 5, AVAILABLE | {"a": 0}, seed=0)
    assert made.repetitions[0] == 0


def test_a_part_of_a_domain_is_the_same_part_for_every_seed() -> None:
    mixture = Mixture(("a", "b"), (0.5, 0.5))
    drawn = [blend(mixture, 40, {"a": 50, "b": 50}, seed=seed, most={"a": 5}) for seed in (0, 1)]
    rows = [set(each.row[each.domain == 0].tolist()) for each in drawn]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 5
    assert drawn[0].repetitions == (4.0, 0.4)
    assert drawn[0].row.tolist() != drawn[1].row.tolist()


def test_a_part_that_is_no_part_changes_nothing() -> None:
    mixture = Mixture(("a", "b"), (0.5, 0.5))
    whole = blend(mixture, 40, {"a": 5, "b": 50}, seed=3)
    same = blend(mixture, 40, {"a": 5, "b": 50}, seed=3, most={"a": 5})
    assert same.row.tolist() == whole.row.tolist()
