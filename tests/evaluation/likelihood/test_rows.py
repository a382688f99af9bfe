from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.evaluation.likelihood.models import VOCABULARY, tiny_model

from mixwise.evaluation.likelihood.rows import Row, batch_nats, make_batches
from mixwise.releases import takes_masks, why_all_positions


def row(ids: list[int], n_scored: int) -> Row:
    return Row.ending_in(np.array(ids, dtype=np.int64), n_scored)


def slow_nats(model: Any, chosen: Row) -> float:
    """One token at a time, without padding, mask or cache."""
    total = 0.0
    for k in range(len(chosen.ids) - chosen.n_scored, len(chosen.ids)):
        with torch.no_grad():
            logits = model(input_ids=torch.from_numpy(chosen.ids[:k])[None]).logits[0, -1]
        total -= float(torch.log_softmax(logits.double(), 0)[chosen.ids[k]])
    return total


class Uniform(torch.nn.Module):
    """Gives every token the same probability and knows no ``logits_to_keep``."""

    def forward(self, input_ids: torch.Tensor, **_: Any) -> Any:
        logits = torch.zeros(*input_ids.shape, 8, requires_grad=True)
        return type("Output", (), {"logits": logits})()


def test_uniform_model_by_hand() -> None:
    [batch] = make_batches([row([1, 2, 3, 4], 1), row([5, 6], 1), row([7, 0, 1], 2)], 4, "cpu")
    assert batch.rows.tolist() == [1, 2, 0]
    assert batch.ids.tolist() == [[5, 6, 0, 0], [7, 0, 1, 0], [1, 2, 3, 4]]
    assert batch.scored.int().tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert batch.attention_mask is not None
    assert batch.attention_mask.tolist() == [[1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
    assert batch.n_tokens == 9
    nats = batch_nats(Uniform(), batch)
    assert nats.tolist() == pytest.approx([math.log(8), 2 * math.log(8), math.log(8)], rel=1e-6)


def test_equal_lengths_need_no_mask() -> None:
    first, second = make_batches([row([1, 2], 1), row([1, 2, 3], 1), row([4, 5], 1)], 2, "cpu")
    assert first.attention_mask is None
    assert second.attention_mask is None
    assert (first.n_tokens, second.n_tokens) == (4, 3)


def test_only_chosen_rows() -> None:
    rows = [row([k, k + 1], 1) for k in range(5)]
    batches = make_batches(rows, 2, "cpu", np.array([4, 1, 3]))
    assert [batch.rows.tolist() for batch in batches] == [[4, 1], [3]]


@given(
    lengths=st.lists(st.integers(2, 12), min_size=1, max_size=12),
    batch_sequences=st.integers(1, 8),
    data=st.data(),
)
def test_every_row_stands_in_one_batch(
    lengths: list[int], batch_sequences: int, data: st.DataObject
) -> None:
    rows = [row(list(range(n)), data.draw(st.integers(1, n - 1))) for n in lengths]
    batches = make_batches(rows, batch_sequences, "cpu")
    assert sorted(int(i) for batch in batches for i in batch.rows) == list(range(len(rows)))
    assert sum(batch.n_tokens for batch in batches) == sum(lengths)
    for batch in batches:
        assert len(batch.rows) <= batch_sequences
        for k, i in enumerate(batch.rows):
            scored = np.flatnonzero(batch.scored[k].numpy()) + 1
            assert scored.tolist() == list(range(lengths[i] - rows[i].n_scored, lengths[i]))


@pytest.mark.parametrize("kind", ["llama", "gpt2", "mistral", "mamba"])
def test_equals_a_slow_reference(kind: str) -> None:
    model = tiny_model(kind)
    rng = np.random.default_rng(0)
    rows = [
        Row.ending_in(rng.integers(0, VOCABULARY, n), int(rng.integers(1, n)))
        for n in (3, 12, 7, 7, 9, 2)
    ]
    for batch in make_batches(rows, 4, "cpu"):
        with torch.no_grad():
            nats = batch_nats(model, batch)
        expected = [slow_nats(model, rows[i]) for i in batch.rows]
        assert nats.tolist() == pytest.approx(expected, abs=1e-5)


def test_head_sees_only_what_is_scored() -> None:
    model = tiny_model("llama")
    seen: list[int] = []
    model.lm_head.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].numel() // 16))
    [batch] = make_batches([row([1, 2, 3, 4, 5], 1), row([1, 2, 3], 2)], 2, "cpu")
    batch_nats(model, batch)
    assert seen == [3 if takes_masks() else 2 * 3]  # 2 rows at the positions 0, 1 and 3


def test_a_model_from_elsewhere_gives_all_logits() -> None:
    class Elsewhere(type(tiny_model("llama"))):  # type: ignore[misc]
        """As code that comes with a checkpoint would be."""

    model = tiny_model("llama")
    [batch] = make_batches([row([1, 2, 3, 4, 5], 2), row([1, 2, 3], 1)], 2, "cpu")
    kept = batch_nats(model, batch)
    assert why_all_positions(model) is None
    model.__class__ = Elsewhere
    assert why_all_positions(model) == "Elsewhere is not transformers' own code"
    assert batch_nats(model, batch).tolist() == pytest.approx(kept.tolist(), abs=1e-5)


def test_long_batches_are_scored_in_pieces() -> None:
    model = tiny_model("llama")
    rng = np.random.default_rng(0)
    rows = [Row.ending_in(rng.integers(0, VOCABULARY, 60), 59) for _ in range(20)]  # 1180 positions
    [batch] = make_batches(rows, 20, "cpu")
    with torch.no_grad():
        nats = batch_nats(model, batch)
        loss = model(input_ids=batch.ids, labels=batch.ids).loss
    assert float(nats.mean()) / 59 == pytest.approx(float(loss), abs=1e-6)


def test_gradient_is_that_of_the_loss() -> None:
    model = tiny_model("llama")
    [batch] = make_batches([row([1, 2, 3, 4], 3), row([5, 6, 7, 8], 3)], 2, "cpu")
    model.zero_grad()
    batch_nats(model, batch).sum().backward()
    ours = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    (6 * model(input_ids=batch.ids, labels=batch.ids).loss).backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(ours[name], parameter.grad, atol=1e-5, rtol=1e-4)


def test_batches_made_in_inference_mode_can_be_differentiated() -> None:
    with torch.inference_mode():
        [batch] = make_batches([row([1, 2, 3], 2)], 1, "cpu")
    batch_nats(tiny_model("llama"), batch).sum().backward()


def test_wrong_tokens_are_seen() -> None:
    model = tiny_model("llama")
    [batch] = make_batches([row([1, 2, 3, 4], 1)], 1, "cpu")
    [other] = make_batches([row([1, 2, 3, 5], 1)], 1, "cpu")
    with torch.no_grad():
        assert abs(batch_nats(model, batch) - batch_nats(model, other)) > 0.01
