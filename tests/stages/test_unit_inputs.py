from __future__ import annotations

import numpy as np

from mixwise.data.examples import ExampleRows
from mixwise.evaluation.likelihood.labels import LabelSet
from mixwise.evaluation.suite import EvaluationSuite
from mixwise.stages.unit_inputs import heldout_batches


def test_examples_are_read_once_without_padding_in_batches_of_the_suites_size() -> None:
    ids = np.array([[1, 2, 3], [4, 5, 0], [6, 0, 0], [7, 8, 0], [9, 8, 0]])
    lengths, labels = np.array([3, 2, 1, 2, 2]), np.array([0, 0, 2, 1, 1])
    suite = EvaluationSuite((LabelSet("films", ExampleRows(ids, lengths, labels), 3),), 2)
    found = [batch.inputs.tolist() for batch in heldout_batches(suite, 10, "cpu")]
    assert found == [[[6]], [[4, 5], [7, 8]], [[9, 8]], [[1, 2, 3]]]
    few = [batch.inputs.tolist() for batch in heldout_batches(suite, 2, "cpu")]
    assert few == [[[4, 5]], [[1, 2, 3]]]
