from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from mixwise.decision.calibration import Calibrated
from mixwise.decision.discrepancy import Trained, fit_discrepancy
from mixwise.decision.fidelity import Fidelity, measure_fidelity
from mixwise.decision.judgement import Judgement, judge
from mixwise.decision.trust import Trust
from mixwise.stages.calibrate import run_calibration, validated
from mixwise.stages.recommend import save_recommendation
from mixwise.stages.search import run_search
from mixwise.stages.validate import run_validation
from mixwise.study.folder import StudyFolder
from mixwise.study.inputs import Settings
from mixwise.study.result_files import load_result
from mixwise.study.results import (
    Recommendation,
    RunCounts,
    ValidationFound,
)
from mixwise.study.session import Workspace

PREDICTED = Trust("do not trust", "predicted", False, ("second order",), ("train references",))


@dataclass(frozen=True)
class Done:
    """A validated study, what was recommended before and after, and the references behind it."""

    folder: Path
    before: Recommendation
    after: Recommendation
    calibrated: Calibrated

    @property
    def trained(self) -> tuple[Trained, ...]:
        return self.calibrated.trained


@contextmanager
def at_work(study: StudyFolder) -> Iterator[Workspace]:
    workspace = Workspace(study, Settings(study.recipe_folder, study.recipe_folder / "tokens"))
    try:
        yield workspace
    finally:
        workspace.close()


@pytest.fixture(scope="module")
def done(pico_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    source = Path(shutil.copytree(pico_source, tmp_path_factory.mktemp("trust") / "source"))
    study = StudyFolder.create(source / "study", source / "recipe.yaml")
    study.save_recipe((source / "recipe.yaml").read_text())
    with at_work(study) as workspace:
        workspace.runs.train_experts()
        found = run_search(workspace)
        before = save_recommendation(workspace, run_calibration(workspace, found))
        run_validation(workspace)
        calibrated = run_calibration(workspace, found)
        after = save_recommendation(workspace, calibrated)
    return Done(study.folder, before, after, calibrated)


def copy(done: Done, tmp_path: Path) -> StudyFolder:
    folder = Path(shutil.copytree(done.folder, tmp_path / "study"))
    return StudyFolder.open(folder)


def rho_of(fidelity: Fidelity | None) -> float:
    assert fidelity is not None
    assert fidelity.spearman.value is not None
    return fidelity.spearman.value


def judged(workspace: Workspace, calibrated: Calibrated) -> Judgement:
    n = workspace.recipe.calibration.mixtures
    return judge(calibrated, validated(workspace), n_calibration=n)


def test_before_validation_the_ranks_are_foreseen(done: Done) -> None:
    assert done.before.trust.basis == "predicted"
    assert done.before.trust.reasons[0].startswith("no reference was trained to check it")
    assert "--verify" in done.before.trust.remedies[-1]
    assert done.before.fidelity_calibrated is None
    assert done.before.reference.n_references == len(done.trained) - 4


def test_after_validation_the_calibrated_score_is_judged(done: Done) -> None:
    assert done.after.trust.basis == "measured"
    rho = rho_of(done.after.fidelity_calibrated)
    assert done.after.trust.reasons[0].startswith(f"over 4 references ρ is {rho:.2f}")
    assert not [r for r in done.after.trust.remedies if "read the calibrated score" in r]


def test_each_reference_is_predicted_without_itself(done: Done) -> None:
    validation = load_result(StudyFolder.open(done.folder), ValidationFound)
    assert validation is not None
    predicted = []
    for left in done.trained[-4:]:
        others = [t for t in done.trained if t is not left]
        missed, _ = fit_discrepancy(others).predict(left.shares[None])
        predicted.append(left.proxy + missed[0])
    runs = [[run.objective for run in row.runs] for row in validation.mixtures]
    expected = measure_fidelity(np.array(predicted), runs, sign=1, seed=0)
    found = done.after.fidelity_calibrated
    assert found is not None
    assert found.mean_absolute_error.value == pytest.approx(expected.mean_absolute_error.value)
    assert rho_of(found) == rho_of(expected)
    assert found.n_mixtures == 4


def test_trust_does_not_depend_on_the_order_of_the_trained_mixtures(
    done: Done, tmp_path: Path
) -> None:
    n = len(done.trained)
    orders = (range(n)[::-1], np.random.default_rng(0).permutation(n).tolist())
    with at_work(copy(done, tmp_path)) as workspace:
        for order in orders:
            shuffled = replace(done.calibrated, trained=tuple(done.trained[k] for k in order))
            judgement = judged(workspace, shuffled)
            assert judgement.trust == done.after.trust
            assert rho_of(judgement.fidelity) == rho_of(done.after.fidelity_calibrated)


def test_without_calibration_the_proxys_own_score_is_judged(done: Done, tmp_path: Path) -> None:
    study = copy(done, tmp_path)
    text = (study.folder / "recipe.yaml").read_text()
    assert "calibration: {mixtures: 2, seeds: 1}" in text
    changed = text.replace("calibration: {mixtures: 2, seeds: 1}", "calibration: {mixtures: 0}")
    study.save_recipe(changed)
    with at_work(study) as workspace:
        found = run_validation(workspace)
        trust = judged(workspace, run_calibration(workspace, run_search(workspace))).trust
    assert trust is not None
    rho = rho_of(found.fidelity["objective"])
    assert trust.reasons[0].startswith(f"over 4 references ρ is {rho:.2f}")
    assert not [r for r in trust.remedies if "more mixtures for calibration" in r]


def test_ranges_hold_the_recommendation_and_cost_holds_the_calibration(done: Done) -> None:
    ranges = done.after.near_optimal_shares
    for name, share in done.after.mixture.as_dict().items():
        assert 0 <= ranges[name][0] <= share <= ranges[name][1] <= 1
    assert any(high - low > 0.01 for low, high in ranges.values())
    cost = done.after.cost
    n_calibration = len(done.trained) - 4
    assert cost.runs == RunCounts(experts=3, calibration=n_calibration, validation=8, final=0)
    assert cost.search_tokens_spent == (3 + n_calibration) * 256
    assert cost.search_tokens_spent + cost.search_tokens_avoided == cost.search_tokens_if_trained
