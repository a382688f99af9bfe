from __future__ import annotations

from pathlib import Path

import pytest
from tests.command_line import Cli, replace

from mixwise.api import Study
from mixwise.api.study import train_some_experts
from mixwise.errors import BusyError, RecipeError, StudyError
from mixwise.study.folder import StudyFolder
from mixwise.training.job import load_record
from mixwise.training.launch import run_lock


@pytest.fixture
def made(pico: Path, tmp_path: Path) -> Path:
    """A study that holds its recipe, and nothing else yet."""
    study = tmp_path / "study"
    with Study.create(study, pico / "recipe.yaml") as opened:
        opened.check()
    return study


def test_one_expert_is_trained_and_no_other(made: Path) -> None:
    assert train_some_experts(made, ["beta"]) == {"beta": made / "experts" / "beta"}
    assert [folder.parent.name for folder in made.glob("experts/*/run.json")] == ["beta"]
    record = made / "experts" / "beta" / "run.json"
    written = record.stat().st_mtime_ns
    assert train_some_experts(made, ["beta", "beta"]) == {"beta": record.parent}
    with Study.open(made) as study:
        study.train_experts()
    assert record.stat().st_mtime_ns == written


def test_experts_of_another_study_are_as_long_here(made: Path, pico: Path, tmp_path: Path) -> None:
    train_some_experts(made, ["beta"])
    replace("budget: 100", "budget: 3")(pico)
    new = tmp_path / "new"
    with Study.create(new, pico / "recipe.yaml", reuse=made) as opened:
        opened.check()
    record = load_record(train_some_experts(new, ["beta"])["beta"])
    assert record is not None
    assert record.taken_from == str(made / "experts" / "beta")  # not trained anew


def test_a_study_that_is_worked_in_is_refused(made: Path) -> None:
    with StudyFolder.open(made).lock(), pytest.raises(StudyError, match="is working in this"):
        train_some_experts(made, ["beta"])


def test_the_same_expert_is_not_trained_twice_at_once(made: Path) -> None:
    with (
        run_lock(made / "experts" / "beta"),
        pytest.raises(BusyError, match="another process is training this run"),
    ):
        train_some_experts(made, ["beta"])


def test_an_unknown_domain_is_refused(made: Path) -> None:
    with pytest.raises(RecipeError, match="`beat` is no domain of the study: did you mean `beta`"):
        train_some_experts(made, ["beat"])


def test_experts_by_gradients_are_made_together(pico: Path, tmp_path: Path) -> None:
    replace("budget: 100", "budget: 3\nexperts: {method: gradients}")(pico)
    replace("answer: merged", "answer: predictions")(pico)
    study = tmp_path / "study"
    with Study.create(study, pico / "recipe.yaml") as opened:
        opened.check()
    with pytest.raises(StudyError, match="gradients of all domains, which are made together"):
        train_some_experts(study, ["beta"])


def test_nothing_begins_before_the_names_are_known(made: Path, mixwise: Cli) -> None:
    code, _, err = mixwise("experts", made, "--only", "nosuch")
    assert code == 1
    assert "`nosuch` is no domain of the study" in err
    assert "begins" not in err


def test_no_name_is_a_usage_error(made: Path, mixwise: Cli) -> None:
    assert mixwise("experts", made, "--only", " , ")[0] == 2


def test_check_makes_the_study_when_asked(pico: Path, tmp_path: Path, mixwise: Cli) -> None:
    study = tmp_path / "new"
    assert mixwise("check", pico / "recipe.yaml", "--study", study)[0] == 0
    assert not study.exists()
    code, out, _ = mixwise("check", pico / "recipe.yaml", "--study", study, "--create")
    assert code == 0
    assert f"The study is made: {study}" in " ".join(out.split())
    assert StudyFolder.open(study).recipe.domain_names == ("alpha", "beta", "gamma")
