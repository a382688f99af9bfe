from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from mixwise.decision.bootstrap import bootstrap_objective
from mixwise.decision.calibration import Calibrated
from mixwise.mixture import Mixture
from mixwise.search.problem import SearchResult, shares_of
from mixwise.stages.calibrate import run_calibration
from mixwise.stages.recommend import save_recommendation
from mixwise.stages.search import every_baseline, run_search
from mixwise.study.folder import StudyFolder
from mixwise.study.inputs import Settings
from mixwise.study.result_files import load_result
from mixwise.study.results import Recommendation
from mixwise.study.session import Workspace


@dataclass(frozen=True)
class Done:
    """A searched and calibrated study, and the recommendation with calibration and without."""

    folder: Path
    found: SearchResult
    calibrated: Calibrated
    content: Recommendation
    plain: Recommendation


@contextmanager
def at_work(study: StudyFolder) -> Iterator[Workspace]:
    workspace = Workspace(study, Settings(study.recipe_folder, study.recipe_folder / "tokens"))
    try:
        yield workspace
    finally:
        workspace.close()


@pytest.fixture(scope="module")
def done(pico_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    source = Path(shutil.copytree(pico_source, tmp_path_factory.mktemp("recommend") / "source"))
    study = StudyFolder.create(source / "study", source / "recipe.yaml")
    study.save_recipe((source / "recipe.yaml").read_text())
    with at_work(study) as workspace:
        workspace.runs.train_experts()
        found = run_search(workspace)
        calibrated = run_calibration(workspace, found)
        bare = replace(calibrated, discrepancy=None, trained=(), chosen=())
        plain = save_recommendation(workspace, bare)
        content = save_recommendation(workspace, calibrated)
    return Done(study.folder, found, calibrated, content, plain)


def test_each_prediction_says_what_it_covers(done: Done) -> None:
    reference = done.content.reference
    assert "what the proxy misses" in reference.covers
    assert done.content.proxy.covers.startswith("resampled evaluation examples alone: neither")
    low, high = reference.interval_95
    assert low <= reference.objective <= high
    assert done.plain.reference.n_references == 0
    assert "no reference was trained here" in done.plain.reference.covers


def test_baselines_have_their_expected_score_and_their_standing(done: Done) -> None:
    with at_work(StudyFolder.open(done.folder)) as workspace:
        entries = every_baseline(workspace)
        [best, *scored] = workspace.proxy.score(
            [done.plain.mixture, *(entry.mixture for entry in entries)]
        )
        assert done.calibrated.discrepancy is not None
        missed, _ = done.calibrated.discrepancy.predict(shares_of(scored))
        draws = bootstrap_objective(
            [best, *scored],
            workspace.base_observation,
            workspace.objective,
            workspace.scale,
            seed=workspace.recipe.search.seed,
        )
    assert [row.name for row in done.content.baselines] == [entry.name for entry in entries]
    for row, amount in zip(done.content.baselines, missed, strict=True):
        assert row.expected == pytest.approx(row.score.objective + amount, abs=1e-12)
    assert {row.expected for row in done.plain.baselines} == {None}
    for k, row in enumerate(done.plain.baselines, start=1):
        behind = np.sort(draws[:, 0] - draws[:, k])
        if row.score.mixture == done.plain.mixture:
            assert row.standing == "recommended"
        elif behind[20] > 0:
            assert row.standing == "behind"
        elif behind[30] < 0 < behind[-30]:
            assert row.standing == "equal"


def test_a_baseline_is_near_optimal_exactly_when_it_is_not_behind(done: Done) -> None:
    for content in (done.content, done.plain):
        near = {str(row.score.mixture): row.standing for row in content.near_optimal}
        assert list(near.values()).count("recommended") == 1
        assert "behind" not in near.values()
        for row in content.baselines:  # the pico recipe has no bounds: each may be recommended
            assert (row.standing != "behind") == (str(row.score.mixture) in near)


def test_the_simplest_of_equals_is_recommended_and_the_highest_is_kept(done: Done) -> None:
    for content in (done.content, done.plain):
        assert content.simplicity is not None
        assert content.simplicity.anchor == Mixture.uniform(content.mixture.domains)
        if content.simplicity.holds_anchor:
            assert content.mixture == content.simplicity.anchor
            assert content.answer.startswith("Cannot be told from uniform: use uniform (")
        else:
            assert content.answer.startswith("Train on ")
    assert load_result(StudyFolder.open(done.folder), Recommendation) == done.content
