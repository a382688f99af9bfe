import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixwise.scorer import SLOPES, VALUES, Part


@given(st.integers(1, 12), st.integers(0, 40))
def test_blocks_are_all_examples_once_and_of_nearly_one_size(of: int, more: int) -> None:
    n = of + more
    blocks = [Part(k, k + 1, of).examples(n) for k in range(of)]
    assert sorted(np.concatenate(blocks).tolist()) == list(range(n))
    sizes = [len(block) for block in blocks]
    assert max(sizes) - min(sizes) <= 1
    joined = Part(0, of // 2 + 1, of).examples(n)
    assert set(joined.tolist()) == set(np.concatenate(blocks[: of // 2 + 1]).tolist())


def test_the_whole_keeps_the_order_of_the_set() -> None:
    assert Part().is_whole
    assert Part(0, 3, 3).is_whole
    assert not Part(0, 1, 2).is_whole
    assert Part().examples(4).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("part", [Part(), Part(2, 5, 8)])
def test_a_part_is_read_from_its_text(part: Part) -> None:
    assert Part.parse(str(part)) == part


def test_values_are_order_0_and_slopes_order_1() -> None:
    assert (VALUES.order, SLOPES.order) == (0, 1)
    assert VALUES.part.is_whole
