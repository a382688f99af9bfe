import subprocess
import sys
from pathlib import Path

import pytest

import mixwise
from mixwise.api import Study
from mixwise.errors import RecipeError, StudyError
from mixwise.mixture import Mixture
from mixwise.report.reading import load_contents
from mixwise.study.results import (
    FinalFound,
    Recommendation,
    ValidationFound,
)

DOMAINS = ("alpha", "beta", "gamma")


@pytest.fixture
def cached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MIXWISE_CACHE", str(tmp_path / "cache"))


@pytest.mark.usefixtures("cached")
def test_from_a_recipe_to_a_recommendation_and_a_figure(pico: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    with Study.create(folder, pico / "recipe.yaml") as study:
        assert study.recommendation is None
        study.train_experts()
        recommendation = study.search()
        [uniform, corner] = study.score([Mixture.uniform(DOMAINS), {"alpha": 1.0}])
        table = study.candidates()
        figure = study.figure("mixture")
    assert isinstance(recommendation, Recommendation)
    assert study.recommendation == recommendation  # results are read without opening the study
    assert uniform.mixture == Mixture.uniform(DOMAINS)
    assert corner.mixture == Mixture.single(DOMAINS, "alpha")
    found = load_contents(folder).search
    assert found is not None
    assert list(table["objective"]) == [row.score.objective for row in found.candidates]
    assert {"share of alpha", "name", "mixed/loss"} <= set(table.columns)
    assert list(figure.data[0].x) == list(recommendation.mixture.shares)
    assert recommendation.answer in study._repr_html_()


@pytest.mark.usefixtures("cached")
def test_the_stages_of_the_command_line_are_methods(pico: Path, tmp_path: Path) -> None:
    with Study.create(tmp_path / "study", pico / "recipe.yaml") as study:
        assert study.check().plan.seconds > 0
        assert set(study.train_experts()) == set(DOMAINS)
        assert isinstance(study.validate(), ValidationFound)
        final = study.train()
    assert isinstance(final, FinalFound)
    with Study.open(tmp_path / "study", read_only=True) as reading:
        assert reading.final == final
        recommendation = reading.recommendation
        assert recommendation is not None
        assert recommendation.outcome == final.outcome
        assert final.rows[0].proxy.mixture == recommendation.mixture
        assert reading.figure("agreement", "mixed/loss").data
        assert reading.report(tmp_path / "page.html").is_file()


@pytest.mark.usefixtures("cached")
def test_what_cannot_be_is_said(pico: Path, tmp_path: Path) -> None:
    study = Study.create(tmp_path / "study", pico / "recipe.yaml")
    with pytest.raises(StudyError, match="the study is not open: work with it in a block"):
        study.search()
    with study:
        with pytest.raises(StudyError, match="nothing is scored yet: run"):
            study.candidates()
        with pytest.raises(StudyError, match="there is no chart `mixture`"):
            study.figure()
        with pytest.raises(StudyError, match="another mixwise"):
            Study.create(tmp_path / "study", pico / "recipe.yaml").__enter__()
        with pytest.raises(RecipeError, match="`delta`"):
            study.score([{"delta": 1.0}])
    with pytest.raises(StudyError, match="no study here"):
        Study.open(tmp_path / "none")


def test_every_public_name_is_there_and_listed() -> None:
    for name in mixwise.__all__:
        assert getattr(mixwise, name) is not None
    assert set(dir(mixwise)) == set(mixwise.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = mixwise.nothing


def test_the_package_loads_next_to_nothing() -> None:
    code = "import sys, mixwise; print(len([m for m in sys.modules if m.startswith('mixwise')]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == 1


@pytest.mark.parametrize("name", ["own_runs"])
def test_examples_run(name: str) -> None:
    path = Path(__file__).parents[1] / "examples" / f"{name}.py"
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=True)
    assert "train on math=" in done.stdout


@pytest.mark.usefixtures("cached")
def test_results_of_another_recipe_are_not_these(pico: Path, tmp_path: Path) -> None:
    recipe, folder = pico / "recipe.yaml", tmp_path / "study"
    with Study.create(folder, recipe) as study:
        study.train_experts()
        study.search()
    recipe.write_text(recipe.read_text() + "\nsearch: {seed: 7}\n")
    with Study.create(folder, recipe) as study:
        assert study.recommendation is study.found is None
        assert study.search() == study.recommendation
    with (
        Study.open(folder, read_only=True) as reading,
        pytest.raises(StudyError, match="the study is open for reading: open it without"),
    ):
        reading.search()
