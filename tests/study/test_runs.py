from __future__ import annotations

from pathlib import Path

import pytest
from tests.study.test_folder import make_study

from mixwise.errors import StudyError
from mixwise.mixture import Mixture
from mixwise.shortages import explain_shortage
from mixwise.study.inputs import Settings
from mixwise.study.runs import Runs
from mixwise.study.session import Workspace

NAMES = ("alpha", "beta", "gamma")


@pytest.fixture(scope="module")
def runs(pico_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp("runs")
    study = make_study(folder / "study", pico_source / "recipe.yaml")
    workspace = Workspace(study, Settings(study.recipe_folder, folder / "cache"), rule="centre")
    workspace.close()
    return workspace.runs


def test_what_a_run_is_decides_where_it_lies(runs: Runs) -> None:
    uniform = Mixture.uniform(NAMES)
    job = runs.job(uniform, 1)
    assert job == runs.job(uniform, 1)
    others = [runs.job(uniform, 2), runs.job(Mixture.single(NAMES, "alpha"), 1)]
    assert len({run.output for run in (job, *others)}) == 3
    assert job.fingerprint.startswith(job.output.name)
    assert set(job.token_hashes) == set(NAMES)


def test_an_expert_is_a_run_on_one_domain_in_a_folder_of_its_name(runs: Runs) -> None:
    job = runs.expert_job("beta")
    assert job.mixture == Mixture.single(NAMES, "beta")
    assert job.output.name == "beta"
    assert job.seed == runs.recipe.training.seed


def test_references_share_no_seed_with_experts_but_runs_of_the_rule_do(runs: Runs) -> None:
    seed = runs.recipe.training.seed
    assert runs.reference_seeds(3) == (seed + 1, seed + 2, seed + 3)
    [centre] = runs.extra_jobs()
    assert centre.mixture == Mixture.uniform(NAMES)
    assert centre.seed == seed


def test_a_run_that_is_not_trained_is_named_with_its_command(runs: Runs) -> None:
    with pytest.raises(
        StudyError, match=r"the expert of `alpha` is not trained yet .*`mixwise exp"
    ):
        runs.expert("alpha")


def test_a_run_whose_study_is_gone_is_not_called_untrained(runs: Runs) -> None:
    folder = runs._study.folder
    away = folder.rename(folder.with_name("away"))
    try:
        with pytest.raises(FileNotFoundError) as caught:
            runs.expert("alpha")
        assert "its folder is gone" in str(explain_shortage(caught.value))
    finally:
        away.rename(folder)
