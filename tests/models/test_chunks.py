from __future__ import annotations

import torch

from mixwise.merging.task_vectors.encoding import BLOCK
from mixwise.models.chunks import chunk_elements, chunks

CPU = torch.device("cpu")


def test_chunks_are_views_that_cover_the_tensor_in_order() -> None:
    n = chunk_elements(CPU)
    values = torch.zeros(2, n)[:, : n - 3].contiguous()
    for start, part in chunks(values, CPU):
        part += start + torch.arange(len(part))
    assert torch.equal(values.view(-1), torch.arange(2.0 * n - 6))


def test_chunks_begin_where_blocks_do() -> None:
    assert chunk_elements(CPU) % BLOCK == 0
    assert chunk_elements(torch.device("cuda")) % BLOCK == 0


def test_nothing_has_no_chunks() -> None:
    assert list(chunks(torch.zeros(0), CPU)) == []
