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

from mixwise.decision.bootstrap import bootstrap_objective
from mixwise.mixture import Mixture
from mixwise.report.reading import load_contents
from mixwise.search.problem import SearchResult, shares_of
from mixwise.stages.calibrate import Calibrated, run_calibration
from mixwise.stages.recommend import save_recommendation
from mixwise.stages.search import every_baseline, run_search
from mixwise.study.folder import Study
from mixwise.study.inputs import Settings
from mixwise.study.session import Workspace


@dataclass(frozen=True)
class Done:
    """A searched and calibrated study, and the recommendation with calibration and without."""

    folder: Path
    found: SearchResult
    calibrated: Calibrated
    content: dict[str, Any]
    plain: dict[str, Any]


@contextmanager
def at_work(study: Study) -> Iterator[Workspace]:
    workspace = Workspace(study, Settings(study.recipe_folder, study.recipe_folder / "tokens"))
    try:
        yield workspace
    finally:
        workspace.close()


@pytest.fixture(scope="module")
def done(pico_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    source = Path(shutil.copytree(pico_source, tmp_path_factory.mktemp("recommend") / "source"))
    study = Study.create(source / "study", source / "recipe.yaml")
    study.save_recipe((source / "recipe.yaml").read_text())
    with at_work(study) as workspace:
        workspace.train_experts()
        found = run_search(workspace)
        calibrated = run_calibration(workspace, found)
        bare = replace(calibrated, result=found, belief=None, trained=())
        plain = save_recommendation(workspace, bare)
        content = save_recommendation(workspace, calibrated)
    return Done(study.folder, found, calibrated, content, plain)


def key(row: dict[str, Any]) -> str:
    shares = row["mixture"]
    return str(Mixture(tuple(shares), tuple(shares.values())))


def test_each_prediction_says_what_it_is_made_from_and_which_to_go_by(done: Done) -> None:
    predicted, plain = done.content["predicted"], done.plain["predicted"]
    assert predicted["go_by"] == "reference"
    assert "what merging misses" in predicted["reference_interval_from"]
    assert predicted["interval_from"].startswith("resampled evaluation examples alone: neither")
    low, high = predicted["reference_interval_95"]
    assert low <= predicted["reference"] <= high
    assert plain["go_by"] == "objective"
    for name in ("reference", "reference_from", "reference_interval_95", "reference_interval_from"):
        assert plain[name] is None


def test_baselines_have_their_calibrated_score_and_their_standing(done: Done) -> None:
    best = done.found.best
    with at_work(Study.open(done.folder)) as workspace:
        entries = every_baseline(workspace)
        scored = workspace.proxy.score([entry.mixture for entry in entries])
        assert done.calibrated.belief is not None
        missed, _ = done.calibrated.belief.predict(shares_of(scored))
        draws = bootstrap_objective(
            [best, *scored],
            workspace.base_observation,
            workspace.objective,
            workspace.scale,
            seed=workspace.recipe.search.seed,
        )
    rows, plain = done.content["baselines"], done.plain["baselines"]
    assert [row["name"] for row in rows] == [entry.name for entry in entries]
    for row, amount in zip(rows, missed, strict=True):
        assert row["reference"] == pytest.approx(row["objective"] + amount, abs=1e-12)
    assert {row["reference"] for row in plain} == {None}
    for k, (row, observation) in enumerate(zip(plain, scored, strict=True), start=1):
        behind = np.sort(draws[:, 0] - draws[:, k])
        if observation.mixture == best.mixture:
            assert row["standing"] == "recommended"
        elif behind[20] > 0:
            assert row["standing"] == "behind"
        elif behind[30] < 0 < behind[-30]:
            assert row["standing"] == "equal"
    assert "behind" in {row["standing"] for row in plain}


def test_a_baseline_is_near_optimal_exactly_when_it_is_not_behind(done: Done) -> None:
    for content in (done.content, done.plain):
        near = {key(row): row["standing"] for row in content["near_optimal"]}
        assert list(near.values()).count("recommended") == 1
        assert "behind" not in near.values()
        for row in content["baselines"]:  # the pico recipe has no bounds: each may be recommended
            assert (row["standing"] != "behind") == (key(row) in near)


def test_the_recommended_mixture_stands_among_the_scored_candidates(done: Done) -> None:
    search = load_contents(done.folder).search
    assert search is not None
    [best] = [c for c in search.candidates if c.standing == "recommended"]
    assert best.score.mixture == done.content["mixture"]
    written = json.loads((done.folder / "search.json").read_text())["candidates"]
    assert len(search.candidates) - len(written) in {0, 1}
    scores = [candidate.score.objective for candidate in search.candidates]
    assert scores == sorted(scores, reverse=True)
