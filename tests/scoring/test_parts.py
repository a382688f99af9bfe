from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mixwise.observation import Derivatives, Measurement
from mixwise.scorer import Part
from mixwise.scoring.parts import join, split

N_DOMAINS = 3


def measure(name: str, part: Part, n: int, *, derivatives: bool = True) -> Measurement:
    """A set whose example e has a value, a weight and slopes of its own."""
    rng = np.random.default_rng(n)
    values, weights = rng.normal(size=n), rng.uniform(1, 2, n)
    slopes, hessians = rng.normal(size=(n, N_DOMAINS)), rng.normal(size=(n, N_DOMAINS, N_DOMAINS))
    chosen = part.examples(n)
    w = weights[chosen]
    found = Derivatives(
        slopes=np.average(slopes[chosen], axis=0, weights=w),
        hessian=np.average(hessians[chosen], axis=0, weights=w),
        example_slopes=slopes[chosen],
        example_hessians=hessians[chosen],
    )
    return Measurement(name, values[chosen], w, found if derivatives else None)


@given(
    sizes=st.tuples(st.integers(6, 30), st.integers(6, 30)),
    first=st.integers(0, 1),
    n_pieces=st.integers(1, 3),
)
def test_pieces_make_up_the_part(sizes: tuple[int, int], first: int, n_pieces: int) -> None:
    names = {"a": sizes[0], "b": sizes[1]}
    for part in (Part(), Part(first, 2, 2)):
        pieces = {
            piece: [measure(f"{name}/loss", piece, n) for name, n in names.items()]
            for piece in split(part, n_pieces)
        }
        for joined, (name, n) in zip(join(part, pieces, names), names.items(), strict=True):
            whole = measure(f"{name}/loss", part, n)
            assert joined.metric == whole.metric
            np.testing.assert_array_equal(joined.examples, whole.examples)
            np.testing.assert_array_equal(joined.example_weights, whole.example_weights)
            assert joined.derivatives is not None
            assert whole.derivatives is not None
            for kind in ("slopes", "hessian", "example_slopes", "example_hessians"):
                np.testing.assert_allclose(
                    getattr(joined.derivatives, kind), getattr(whole.derivatives, kind), atol=1e-12
                )


def test_pieces_overlap_nowhere_and_leave_nothing_out() -> None:
    for n in (6, 7, 31):
        seen = np.concatenate([p.examples(n) for p in split(Part(1, 3, 3), 2)])
        assert sorted(seen) == sorted(Part(1, 3, 3).examples(n))
        everything = [*Part(0, 1, 3).examples(n), *seen]
        assert sorted(everything) == list(range(n))


def test_pieces_without_derivatives_join_without() -> None:
    pieces = {p: [measure("a/accuracy", p, 8, derivatives=False)] for p in split(Part(), 2)}
    [joined] = join(Part(), pieces, {"a": 8})
    assert joined.derivatives is None


def test_a_piece_put_in_the_wrong_place_is_noticed() -> None:
    first, second = split(Part(), 2)
    swapped = {first: [measure("a/loss", second, 9)], second: [measure("a/loss", first, 9)]}
    whole = measure("a/loss", Part(), 9)
    [joined] = join(Part(), swapped, {"a": 9})
    assert not np.array_equal(joined.examples, whole.examples)
