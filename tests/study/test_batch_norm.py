from types import SimpleNamespace
from typing import Any

import pytest

from mixwise.errors import RecipeError
from mixwise.study.batch_norm import require_batch_norm


def inputs() -> Any:
    tensors = {"head.weight": None, "norm.running_var": None}
    return SimpleNamespace(
        labels=(), base=SimpleNamespace(tensors=tensors), recipe=SimpleNamespace(task="causal-lm")
    )


def test_running_statistics_of_a_base_without_labels_are_not_averaged() -> None:
    with pytest.raises(RecipeError, match=r"keeps running statistics .* `task: causal-lm`"):
        require_batch_norm(inputs(), SimpleNamespace(averaged=()))  # type: ignore[arg-type]
