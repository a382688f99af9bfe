import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mixwise.export.chosen_rows import choose_rows, order_rows


@given(
    st.lists(st.integers(1, 50), min_size=1, max_size=30),
    st.floats(0, 2000),
    st.integers(0, 3),
)
def test_no_other_number_of_rows_comes_closer(lengths: list[int], tokens: float, seed: int) -> None:
    sizes = np.array(lengths)
    rows = choose_rows(sizes, tokens, "a", seed)
    reached = sizes[rows].sum()
    assert abs(reached - tokens) <= max(lengths) / 2
    counts = np.bincount(rows, minlength=len(lengths))
    assert counts.max() - counts.min() <= 1  # whole epochs, and a part of one


def test_rows_of_an_example_worked_by_hand() -> None:
    sizes = np.array([10, 10, 10])
    assert len(choose_rows(sizes, 24.0, "a", 0)) == 2
    assert len(choose_rows(sizes, 26.0, "a", 0)) == 3
    assert len(choose_rows(sizes, 64.0, "a", 0)) == 6
    assert sorted(choose_rows(sizes, 60.0, "a", 0)[:3].tolist()) == [0, 1, 2]
    assert len(choose_rows(sizes, 4.0, "a", 0)) == 0


def test_the_order_is_seeded_and_keeps_each_domains_own() -> None:
    chosen = {"a": np.arange(40), "b": np.arange(100, 160)}
    first, again, other = (order_rows(chosen, seed) for seed in (1, 1, 2))
    assert first.row.tolist() == again.row.tolist() != other.row.tolist()
    for ordered in (first, other):
        for name, rows in chosen.items():
            assert ordered.rows_of(name).tolist() == rows.tolist()
    assert 5 < first.domain[:40].sum() < 35  # neither comes first


def test_other_domains_have_other_orders() -> None:
    sizes = np.ones(50, dtype=np.int64)
    orders = [choose_rows(sizes, 50.0, name, 1).tolist() for name in ("a", "b")]
    assert orders[0] != orders[1]
    assert orders[0] == choose_rows(sizes, 50.0, "a", 1).tolist()


def test_epochs_differ_in_their_order() -> None:
    rows = choose_rows(np.ones(50, dtype=np.int64), 100.0, "a", 1)
    assert rows[:50].tolist() != rows[50:].tolist()
    assert set(rows[:50]) == set(rows[50:]) == set(range(50))
