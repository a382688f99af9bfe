from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch.nn.functional import cross_entropy

from mixwise.training.preparing import LabelLoss

LABELS = torch.tensor([1, 2, 4, 0])


def logits() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(4, 5, requires_grad=True)


def test_one_head_has_the_plain_cross_entropy() -> None:
    given = logits()
    assert torch.equal(
        LabelLoss()(SimpleNamespace(logits=given), LABELS), cross_entropy(given, LABELS)
    )


def test_each_row_has_the_loss_of_its_own_head() -> None:
    """Heads of outputs 0–1 and 2–4, a row at a time."""
    given = logits()
    found = LabelLoss((2, 3))(SimpleNamespace(logits=given), LABELS, num_items_in_batch=8)
    losses = [
        cross_entropy(given[k : k + 1, :2], LABELS[k : k + 1])
        if LABELS[k] < 2
        else cross_entropy(given[k : k + 1, 2:], LABELS[k : k + 1] - 2)
        for k in range(4)
    ]
    assert found.item() == pytest.approx(sum(loss.item() for loss in losses) / 8)


def test_no_other_head_learns_from_a_row() -> None:
    given = logits()
    LabelLoss((2, 3))(SimpleNamespace(logits=given), LABELS).backward()
    assert given.grad is not None
    assert given.grad.isfinite().all()
    for row, label in enumerate(LABELS.tolist()):
        own, other = (slice(0, 2), slice(2, 5)) if label < 2 else (slice(2, 5), slice(0, 2))
        assert not given.grad[row, other].any()
        assert given.grad[row, own].abs().min() > 0
