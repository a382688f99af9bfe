from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mixwise.merging.task_vectors.encoding import BLOCK, StorePrecision, encode

PRECISIONS: tuple[StorePrecision, ...] = ("float32", "bfloat16", "int8")


def test_a_block_by_hand() -> None:
    encoded = encode(torch.tensor([1.27, -0.5, 0.004, 0.0]), "int8")
    assert encoded.deltas[:4].tolist() == [127, -50, 0, 0]
    assert encoded.scales is not None
    assert encoded.scales.tolist() == pytest.approx([0.01])
    assert encoded.decode()[:4].tolist() == pytest.approx([1.27, -0.5, 0.0, 0.0])


@given(
    n=st.integers(1, 700),
    size=st.sampled_from([1e-30, 1e-4, 1.0, 1e30]),
    seed=st.integers(0, 99),
    precision=st.sampled_from(PRECISIONS),
)
def test_no_element_is_off_by_more_than_half_a_step(
    n: int, size: float, seed: int, precision: StorePrecision
) -> None:
    values = size * torch.randn(n, generator=torch.Generator().manual_seed(seed))
    got = encode(values, precision).decode()
    assert len(got) % BLOCK == 0
    assert not got[n:].any()
    blocks = torch.nn.functional.pad(values, (0, -n % BLOCK)).view(-1, BLOCK)
    half_steps = {
        "float32": torch.zeros_like(blocks),
        "bfloat16": blocks.abs() / 2**8,
        "int8": (blocks.abs().amax(1, keepdim=True) / 254).expand_as(blocks),
    }[precision]
    assert ((got.view_as(blocks) - blocks).abs() <= half_steps * 1.001).all()


@given(
    start=st.sampled_from([0, 128, 384]),
    n=st.integers(1, 300),
    share=st.sampled_from([1.0, -0.3]),
    precision=st.sampled_from(PRECISIONS),
)
def test_adding_a_part_is_adding_what_decodes_there(
    start: int, n: int, share: float, precision: StorePrecision
) -> None:
    encoded = encode(torch.randn(700, generator=torch.Generator().manual_seed(n)), precision)
    total = torch.ones(n)
    encoded.part(start, n).add_to(total, share)
    expected = 1 + share * encoded.decode()[start : start + n]
    assert torch.allclose(total, expected, atol=1e-6)


def test_zeros_stay_zeros() -> None:
    assert not encode(torch.zeros(200), "int8").decode().any()


def test_bits_per_element() -> None:
    values = torch.randn(1280)
    assert [encode(values, p).n_bytes for p in PRECISIONS] == [5120, 2560, 1280 + 40]
