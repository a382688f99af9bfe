from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
from tests.evaluation.test_sets import Confidence
from tests.evaluation.test_suite import text_set

from mixwise.errors import RecipeError
from mixwise.evaluation.suite import EvaluationSuite
from mixwise.mixture import Mixture
from mixwise.progress import Progress
from mixwise.study.folder import StudyFolder
from mixwise.study.inputs import Settings
from mixwise.study.session import Workspace, _require_importable

SHORT = """\
base: base
domains:
  alpha: {files: alpha.jsonl}
  beta: {files: beta.jsonl}
horizon_tokens: 1024
budget: 1
sequence_length: 16
evaluation: {max_sequences: 8, batch_sequences: 4}
training: {learning_rate: 3.0e-3, batch_sequences: 4, warmup_steps: 1, device: cpu}
engine: {workers: 1, threads: 1}
"""


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
    with pytest.raises(
        RecipeError, match=r"class `OfACell`, which is defined in the script itself"
    ):
        _require_importable(suite, is_elsewhere=True)
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))
    _require_importable(EvaluationSuite((text_set(), Confidence()), 4))
    with pytest.raises(RecipeError, match=r"`evaluation\.sets\.mine`: worker .* class `OfACell`"):
        _require_importable(suite)


def test_reading_predictions_names_the_point_of_the_runs(pico: Path) -> None:
    (pico / "short.yaml").write_text(SHORT)
    study = StudyFolder.create(pico / "study", pico / "short.yaml")
    study.save_recipe(SHORT)
    told: list[Progress] = []
    workspace = Workspace(study, Settings(pico, pico / "tokens"), told.append)
    try:
        workspace.runs.train_experts()
        workspace.proxy.score([Mixture.uniform(("alpha", "beta"))])
    finally:
        workspace.close()
    notes = [(one.note, one.done) for one in told if one.task == "reading predictions"]
    plain = [(f"after {steps} steps", k) for steps in workspace.answers.points for k in (1, 2)]
    assert notes[: len(plain)] == plain
    assert notes[len(plain)] == (f"{plain[-1][0]}, 1.5 times as long", 1)
