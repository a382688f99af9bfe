from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mixwise.evaluation.likelihood.neighbours import find_neighbour, find_padding
from mixwise.evaluation.likelihood.rows import Label, Row

IDS = np.array([3, 1, 2, 4])


class Bag(nn.Module):
    """Logits that are sums over tokens, or over those of the whole batch."""

    def __init__(self, *, reads: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.tokens = nn.Embedding(5, 2)
        self.reads = reads

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None) -> Any:
        logits = self.tokens(input_ids)
        if attention_mask is not None and self.reads != "padding":
            logits = logits * attention_mask[..., None]
        logits = logits.sum(1)
        return SimpleNamespace(logits=logits - logits.mean(0) if self.reads == "batch" else logits)


@pytest.mark.parametrize(("reads", "is_found"), [("row", False), ("padding", True)])
def test_a_classifier_that_reads_what_fills_up_is_found(reads: str, is_found: bool) -> None:
    found = find_padding(Bag(reads=reads).eval(), IDS)
    assert (found is not None) == is_found


@pytest.mark.parametrize(("reads", "is_found"), [("row", False), ("batch", True)])
def test_a_classifier_that_reads_its_neighbours_is_found(reads: str, is_found: bool) -> None:
    asked = np.ones(1, dtype=bool)
    rows = (Row(ids, asked, Label(k, 0)) for k, ids in enumerate((IDS, IDS[::-1] - 1)))
    assert (find_neighbour(Bag(reads=reads).eval(), *rows) is not None) == is_found
