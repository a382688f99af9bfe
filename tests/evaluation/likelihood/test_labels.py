from dataclasses import replace

import numpy as np
import pytest
import torch

from mixwise.data.examples import ExampleRows
from mixwise.evaluation.likelihood.labels import LabelSet
from mixwise.evaluation.likelihood.rows import batch_nats, make_batches
from mixwise.scorer import Part
from mixwise.scoring.parts import join, split


@pytest.fixture
def chosen() -> LabelSet:
    ids = np.array([[1, 2, 3], [4, 5, 0], [6, 0, 0], [7, 8, 0]])
    return LabelSet(
        "films", ExampleRows(ids, np.array([3, 2, 1, 2]), np.array([0, 0, 0, 1])), n_labels=2
    )


class FromFirst(torch.nn.Module):
    """Logits that are made of the first token alone; counts what it reads."""

    n_read = 0

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None) -> object:
        self.n_read += len(input_ids)
        first = input_ids[:, 0].double()
        return type("Output", (), {"logits": torch.stack([first, 10 - first], dim=1)})()


def test_metrics_by_hand(chosen: LabelSet) -> None:
    p = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]])
    measured = {m.metric: m for m in chosen.measure(-np.log(p).ravel())}
    right = np.array([0.9, 0.6, 0.2, 0.7])
    assert measured["films/loss"].examples == pytest.approx(-np.log(right))
    assert measured["films/accuracy"].value == 0.75
    assert measured["films/balanced_accuracy"].value == pytest.approx((2 / 3 + 1) / 2)
    assert measured["films/macro_f1"].value == pytest.approx((4 / 5 + 2 / 3) / 2)


def test_of_equal_labels_the_first_is_taken(chosen: LabelSet) -> None:
    measured = {m.metric: m for m in chosen.measure(np.ones(8))}
    assert measured["films/accuracy"].examples.tolist() == [1, 1, 1, 0]


@pytest.mark.parametrize("size", [1, 3, 8])
def test_each_example_is_read_once_for_all_its_labels(chosen: LabelSet, size: int) -> None:
    model, found = FromFirst(), np.empty(8)
    for batch in make_batches(chosen.rows(), size, "cpu"):
        assert batch.n_tokens <= size
        found[batch.rows] = batch_nats(model, batch).numpy()
    logits = torch.tensor([[1.0, 9], [4, 6], [6, 4], [7, 3]])
    assert model.n_read == 4
    assert found.reshape(4, 2) == pytest.approx(-torch.log_softmax(logits, dim=1).numpy(), rel=1e-6)


def test_slopes_are_of_the_right_labels(chosen: LabelSet) -> None:
    examples = np.array([3, 0])
    facts = chosen.differentiable(examples)
    assert facts.counted.tolist() == [False, True, True, False]
    assert facts.row_examples.tolist() == [0, 0, 1, 1]
    [metric] = facts.metrics
    assert metric.factor == 0.5


@pytest.mark.parametrize("n_pieces", [1, 2, 4])
def test_parts_add_up_to_the_whole(chosen: LabelSet, n_pieces: int) -> None:
    nats = -np.log(np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]]))
    pieces = {}
    for piece in split(Part(), n_pieces):
        examples = piece.examples(4)
        pieces[piece] = chosen.measure(nats[examples].ravel(), examples)
    joined = join(Part(), pieces, {"films": 4})
    for found, whole in zip(joined, chosen.measure(nats.ravel()), strict=True):
        assert found.metric == whole.metric
        np.testing.assert_array_equal(found.examples, whole.examples)
        np.testing.assert_array_equal(found.example_weights, whole.example_weights)


def test_labels_without_an_example_are_known(chosen: LabelSet) -> None:
    assert chosen.missing == ()
    assert replace(chosen, n_labels=4).missing == (2, 3)
