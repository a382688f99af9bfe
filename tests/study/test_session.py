from __future__ import annotations

import sys
from types import ModuleType

import pytest
from tests.evaluation.test_sets import Confidence
from tests.evaluation.test_suite import text_set

from mixwise.errors import RecipeError
from mixwise.evaluation.suite import EvaluationSuite
from mixwise.study.session import _require_importable


def test_a_class_of_a_notebook_is_refused_before_a_worker_dies_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class OfACell(Confidence):
        pass

    OfACell.__module__ = "__main__"
    suite = EvaluationSuite((text_set(), OfACell("mine")), 4)
    script = ModuleType("__main__")
    script.__file__ = "train.py"
    monkeypatch.setitem(sys.modules, "__main__", script)
    _require_importable(suite)  # worker processes run the script's top again
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))
    _require_importable(EvaluationSuite((text_set(), Confidence()), 4))
    with pytest.raises(RecipeError, match=r"`evaluation\.sets\.mine`: worker .* class `OfACell`"):
        _require_importable(suite)
