from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mixwise.decision.discrepancy import Trained, calibrate
from mixwise.decision.fidelity import measure_fidelity
from mixwise.stages.calibrate import Calibrated, run_calibration
from mixwise.stages.recommend import save_recommendation
from mixwise.stages.search import run_search
from mixwise.stages.trust import judge_recommendation
from mixwise.stages.validate import run_validation
from mixwise.study.folder import DIAGNOSIS_FILE, Study
from mixwise.study.inputs import Settings
from mixwise.study.session import Workspace

PREDICTED = {
    "word": "do not trust",
    "basis": "predicted",
    "is_clear": False,
    "reasons": ["second order"],
    "remedies": ["train references"],
}


@dataclass(frozen=True)
class Done:
    """A validated study, what was recommended before and after, and the references behind it."""

    folder: Path
    before: dict[str, Any]
    after: dict[str, Any]
    calibrated: Calibrated

    @property
    def trained(self) -> tuple[Trained, ...]:
        return self.calibrated.trained


@contextmanager
def at_work(study: Study) -> Iterator[Workspace]:
    workspace = Workspace(study, Settings(study.recipe_folder, study.recipe_folder / "tokens"))
    try:
        yield workspace
    finally:
        workspace.close()


@pytest.fixture(scope="module")
def done(pico_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    source = Path(shutil.copytree(pico_source, tmp_path_factory.mktemp("trust") / "source"))
    study = Study.create(source / "study", source / "recipe.yaml")
    study.save_recipe((source / "recipe.yaml").read_text())
    with at_work(study) as workspace:
        workspace.train_experts()
        found = run_search(workspace)
        before = save_recommendation(workspace, run_calibration(workspace, found))
        run_validation(workspace)
        calibrated = run_calibration(workspace, found)
        after = save_recommendation(workspace, calibrated)
    return Done(study.folder, before, after, calibrated)


def copy(done: Done, tmp_path: Path) -> Study:
    folder = Path(shutil.copytree(done.folder, tmp_path / "study"))
    return Study.open(folder)


def validation_of(done: Done) -> dict[str, Any]:
    return dict(json.loads((done.folder / "validation.json").read_text()))


def test_before_validation_and_diagnosis_nothing_is_said(done: Done) -> None:
    assert done.before["trust"] is done.before["fidelity_calibrated"] is None
    assert done.before["predicted"]["n_references"] == len(done.trained) - 4


def test_after_validation_the_calibrated_score_is_judged(done: Done) -> None:
    assert done.after["trust"]["basis"] == "measured"
    rho = done.after["fidelity_calibrated"]["spearman"]["value"]
    assert done.after["trust"]["reasons"][0].startswith(f"over 4 references ρ is {rho:.2f}")
    assert not [r for r in done.after["trust"]["remedies"] if "read the calibrated score" in r]


def test_each_reference_is_predicted_without_itself(done: Done) -> None:
    rows = validation_of(done)["mixtures"]
    predicted = []
    for left in done.trained[-4:]:
        others = [t for t in done.trained if t is not left]
        missed, _ = calibrate(others, size=0.2, noise=0.1).predict(left.shares[None])
        predicted.append(left.proxy + missed[0])
    runs = [[run["objective"] for run in row["references"]] for row in rows]
    expected = measure_fidelity(np.array(predicted), runs, sign=1, seed=0)
    found = done.after["fidelity_calibrated"]
    assert found["mean_absolute_error"]["value"] == pytest.approx(
        expected.mean_absolute_error.value
    )
    assert found["spearman"]["value"] == expected.spearman.value
    assert found["n_mixtures"] == 4


def test_trust_does_not_depend_on_the_order_of_the_trained_mixtures(
    done: Done, tmp_path: Path
) -> None:
    expected = json.loads(json.dumps(done.after["trust"]))
    n = len(done.trained)
    orders = (range(n)[::-1], np.random.default_rng(0).permutation(n).tolist())
    with at_work(copy(done, tmp_path)) as workspace:
        for order in orders:
            shuffled = replace(done.calibrated, trained=tuple(done.trained[k] for k in order))
            trust = judge_recommendation(workspace, shuffled)
            assert json.loads(json.dumps(trust.as_dict()["trust"])) == expected
            assert trust.fidelity is not None
            assert (
                trust.fidelity.spearman.value
                == (done.after["fidelity_calibrated"]["spearman"]["value"])
            )


def test_without_calibration_the_proxys_own_score_is_judged(done: Done, tmp_path: Path) -> None:
    study = copy(done, tmp_path)
    text = (study.folder / "recipe.yaml").read_text()
    assert "calibration: {mixtures: 2, seeds: 1}" in text
    changed = text.replace("calibration: {mixtures: 2, seeds: 1}", "calibration: {mixtures: 0}")
    study.save_recipe(changed)
    with at_work(study) as workspace:
        content = run_validation(workspace)
        calibrated = run_calibration(workspace, run_search(workspace))
        verdict = judge_recommendation(workspace, calibrated).verdict
    assert verdict is not None
    rho = content["fidelity"]["objective"]["spearman"]["value"]
    assert verdict.reasons[0].startswith(f"over 4 references ρ is {rho:.2f}")
    assert not [r for r in verdict.remedies if "more mixtures for calibration" in r]


def test_without_validation_a_diagnosis_of_the_same_inputs_predicts(
    done: Done, tmp_path: Path
) -> None:
    study = copy(done, tmp_path)
    (study.folder / "validation.json").unlink()
    with at_work(study) as workspace:
        calibrated = run_calibration(workspace, run_search(workspace))
        workspace.save_result(DIAGNOSIS_FILE, {"verdict": PREDICTED})
        predicted = judge_recommendation(workspace, calibrated)
        measured = {"verdict": PREDICTED | {"basis": "measured"}}
        workspace.save_result(DIAGNOSIS_FILE, measured)
        stale = judge_recommendation(workspace, calibrated)
        study.save_json(DIAGNOSIS_FILE, {"recipe": "another", "verdict": PREDICTED})
        other = judge_recommendation(workspace, calibrated)
    assert json.loads(json.dumps(predicted.as_dict()["trust"])) == PREDICTED
    assert predicted.fidelity is None
    assert stale.verdict is other.verdict is None


def test_ranges_hold_the_recommendation_and_cost_holds_the_calibration(done: Done) -> None:
    ranges = done.after["near_optimal_shares"]
    for name, share in done.after["mixture"].items():
        assert 0 <= ranges[name][0] <= share <= ranges[name][1] <= 1
    assert any(high - low > 0.01 for low, high in ranges.values())
    cost = done.after["cost"]
    n_calibration = len(done.trained) - 4
    assert cost["runs"] == {
        "experts": 3,
        "calibration": n_calibration,
        "validation": 8,
        "final": 0,
    }
    assert cost["search_tokens_spent"] == (3 + n_calibration) * 256
    assert (
        cost["search_tokens_spent"] + cost["search_tokens_avoided"]
        == (cost["search_tokens_if_trained"])
    )
