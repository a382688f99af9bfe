from __future__ import annotations

import numpy as np
import pytest
import torch

from mixwise.merging.task_vectors.inner_products import inner_products


class Fixed:
    """A task vector of given numbers."""

    def __init__(self, **tensors: torch.Tensor) -> None:
        self.tensors = tensors

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def add_to(self, total: torch.Tensor, name: str, share: float, *, start: int = 0) -> None:
        part = self.tensors[name].view(-1)[start : start + total.numel()]
        total.view(-1).add_(part, alpha=share)


def test_every_pair_is_summed_in_double_over_all_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mixwise.models.chunks._CPU_ELEMENTS", 128)
    rng = np.random.default_rng(0)
    deltas = [torch.from_numpy(rng.normal(size=(30, 17))).float() for _ in range(3)]
    vectors = [Fixed(w=delta) for delta in deltas]
    flat = torch.stack(deltas).view(3, -1).double()
    found = inner_products(vectors, "w", torch.zeros(30, 17), torch.device("cpu"))  # type: ignore[arg-type]
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, flat @ flat.T, rtol=1e-12, atol=1e-12)


def test_what_an_expert_leaves_alone_adds_nothing() -> None:
    vectors = [Fixed(w=torch.ones(4)), Fixed(), Fixed(w=2 * torch.ones(4))]
    found = inner_products(vectors, "w", torch.zeros(4), torch.device("cpu"))  # type: ignore[arg-type]
    assert found.tolist() == [[4, 0, 8], [0, 0, 0], [8, 0, 16]]
    nobody = inner_products([Fixed(), Fixed()], "w", torch.zeros(4), torch.device("cpu"))  # type: ignore[list-item]
    assert nobody.tolist() == [[0, 0], [0, 0]]
