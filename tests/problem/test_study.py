"""Whole studies of a problem: the stages, a resumed one, and what is written."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from playwright.sync_api import Browser, expect
from tests.problem.toys import ASKED, recalibrate, toy, train, with_norm
from tests.report.visits import Visit
from torch import nn

from mixwise.api import ProblemStudy
from mixwise.errors import RecipeError, StudyError
from mixwise.report.contents import Contents
from mixwise.report.reading import load_contents
from mixwise.stages.status import Count, read_status
from mixwise.study.folder import StudyFolder
from mixwise.study.results import Recommendation

VERIFIED: dict[str, Any] = ASKED | {
    "verify": True,
    "calibration": {"mixtures": 1},
    "budget": 2,
    "validation": {"mixtures": 4, "seeds": 2},
    "final": {"baselines": ["uniform"], "seeds": 1},
}
RUNS = SimpleNamespace(trained=[], stop_at=0)  # an object, which is no part of a source


def counting(network: nn.Module, mixture: Mapping[str, float], horizon: int, seed: int) -> None:
    RUNS.trained.append(f"{[*mixture.values()]} {horizon} {seed}")
    train(network, mixture, horizon, seed)
    if len(RUNS.trained) == RUNS.stop_at:
        raise KeyboardInterrupt


@pytest.fixture
def problem() -> Any:
    RUNS.trained, RUNS.stop_at = [], 0
    return toy(train=counting, version="1", log_likelihoods=("target/loss",))


def look_at(visit: Visit, contents: Contents) -> None:
    """The page speaks of examples, names no stage that a problem lacks, and predicts as Python."""
    assert visit.troubles == []
    assert len(visit.requests) == 1
    assert visit.overflow() <= 0
    header = visit.page.locator("header").inner_text()
    assert "3 domains of the problem toy, whose functions are Python's" in header
    head = visit.page.locator("#shares thead th").all_inner_texts()
    assert head == ["Domain", "Share, by examples", "Examples of the final run", "Epochs"]
    counts = visit.page.locator("#shares td:nth-of-type(2)").all_inner_texts()
    assert sum(map(int, counts)) == 400
    assert visit.page.locator("#diagnosis").count() == 0
    search, found = contents.search, contents.recommendation
    assert search is not None
    assert found is not None
    predicted = visit.page.locator("#metric-0 td").first.inner_text()
    assert float(predicted) == pytest.approx(found.proxy.metrics["target/loss"], abs=0.01)
    leaderboard = visit.page.locator("#leaderboard tbody tr")
    assert leaderboard.count() == len(search.candidates)
    visit.page.select_option("#start", label="only right")
    expect(visit.page.locator("#slider-1 output")).to_have_text("100 %")
    [right] = [row for row in search.candidates if row.name == "only right"]
    loss = float(visit.page.locator("#metric-0 td").first.inner_text())
    assert loss == pytest.approx(right.score.metrics["target/loss"], abs=0.01)


def test_all_stages_run_and_a_second_time_from_what_is_known(
    tmp_path: Path, problem: Any, browser: Browser
) -> None:
    with ProblemStudy.create(tmp_path, problem, VERIFIED) as study:
        recommendation = study.run()
        n_runs = len(RUNS.trained)
        assert study.run() == recommendation
        facts = study.export()
    status = read_status(StudyFolder.open(tmp_path))  # the functions are not needed
    assert (status.stage, status.experts) == ("finished", Count(3, 3))
    assert status.answer == recommendation.answer
    assert n_runs == len(RUNS.trained)
    assert isinstance(recommendation, Recommendation)
    assert recommendation.outcome is not None
    assert recommendation.fidelity is not None
    assert recommendation.cost.runs.experts == 3
    assert recommendation.cost.runs.validation == 8
    assert recommendation.horizons.unit == "examples"
    assert sum(facts["examples"].values()) == 400
    look_at(Visit(browser, tmp_path / "report.html", 400), load_contents(tmp_path))
    with ProblemStudy.open(tmp_path, problem, read_only=True) as reading:
        assert reading.recommendation == recommendation
        assert reading.validation is not None
        assert reading.candidates()["target/loss"].notna().all()
        with pytest.raises(StudyError, match="open for reading"):
            reading.search()


def test_an_interrupted_study_goes_on_and_ends_as_one_that_was_not(
    tmp_path: Path, problem: Any
) -> None:
    settings = ASKED | {"final": {"train": True}}
    RUNS.stop_at = 2
    with (
        pytest.raises(KeyboardInterrupt),
        ProblemStudy.create(tmp_path / "broken", problem, settings) as study,
    ):
        study.run()
    assert len(RUNS.trained) == 2
    RUNS.stop_at = 0
    with ProblemStudy.open(tmp_path / "broken", problem) as study:
        resumed = study.run()
    assert RUNS.trained[1] == RUNS.trained[2]  # the one that was interrupted is trained again
    assert RUNS.trained.count(RUNS.trained[0]) == 1
    with ProblemStudy.create(tmp_path / "whole", problem, settings) as study:
        whole = study.run()
    assert resumed == whole
    names = ("recommendation.json", "final.json")
    texts = [
        [json.loads((tmp_path / f / n).read_text()) for n in names] for f in ("broken", "whole")
    ]
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("changes", "method"),
    [({}, "slopes"), ({"build": with_norm, "recalibrate": recalibrate}, "bayes")],
)
@pytest.mark.filterwarnings("ignore:problem `toy`. training changes")
def test_merges_are_searched_by_slopes_where_they_have_any(
    tmp_path: Path, changes: dict[str, Any], method: str
) -> None:
    settings = ASKED | {"proxy": {"answer": "merged"}, "search": {"budget": 6}}
    with ProblemStudy.create(tmp_path, toy(**changes), settings) as study:
        study.train_experts()
        recommendation = study.search()
    found = study.found
    assert found is not None
    assert found.method == method
    assert recommendation.mixture.domains == ("left", "right", "both")


def test_experts_of_other_settings_are_refused_before_anything_is_written(
    tmp_path: Path, problem: Any
) -> None:
    with ProblemStudy.create(tmp_path, problem, ASKED) as study:
        study.train_experts()
    kept = (tmp_path / "recipe.yaml").read_text()
    with (
        pytest.raises(StudyError, match="left: this expert was trained with other functions"),
        ProblemStudy.create(tmp_path, problem, ASKED | {"budget": 0.25}),
    ):
        pass
    assert (tmp_path / "recipe.yaml").read_text() == kept


def test_what_reads_data_cannot_be_exported(tmp_path: Path, problem: Any) -> None:
    with ProblemStudy.create(tmp_path, problem, ASKED) as study:
        study.train_experts()
        study.search()
        with pytest.raises(StudyError, match="`stream` writes data that mixwise reads"):
            study.export("stream")


def test_a_rule_that_runs_leave_too_little_for_is_refused_as_an_option_too(
    tmp_path: Path, problem: Any
) -> None:
    with (
        pytest.raises(RecipeError, match=r"`merge\.rule: blend` needs trajectories of the runs"),
        ProblemStudy.create(tmp_path, problem, ASKED, rule="blend"),
    ):
        pass
