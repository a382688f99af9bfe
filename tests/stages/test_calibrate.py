from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mixwise.decision.calibration import Calibrated
from mixwise.decision.discrepancy import Trained, fit_discrepancy
from mixwise.decision.recommend import decide
from mixwise.mixture import Mixture
from mixwise.progress import OnProgress, Progress, silent
from mixwise.recipe import load_recipe
from mixwise.search.problem import SearchResult, mixture_of
from mixwise.search.space.designs import centre
from mixwise.search.surrogates.objective_model import fit_surface
from mixwise.stages.calibrate import run_calibration
from mixwise.stages.recommend import save_recommendation
from mixwise.stages.search import problem_of, run_search
from mixwise.stages.validate import run_validation
from mixwise.study.folder import CALIBRATION_FILE, StudyFolder
from mixwise.study.inputs import Settings
from mixwise.study.result_files import load_result
from mixwise.study.results import (
    BothAnswers,
    CalibrationFound,
    SeedScore,
    ValidationFound,
)
from mixwise.study.session import Workspace

Cli = Callable[..., tuple[int, str, str]]
DOMAINS = ("alpha", "beta", "gamma")
UNIFORM = Mixture.uniform(DOMAINS)
TRAINING = "training"  # what progress calls it


@dataclass(frozen=True)
class Done:
    """A study before its first reference, and after calibration, and after validation.

    ``told``: the progress of search and calibration.
    """

    bare: Path
    calibrated: Path
    validated: Path
    told: tuple[Progress, ...]
    found: SearchResult
    before: Calibrated
    after: Calibrated


@contextmanager
def at_work(study: StudyFolder, on_progress: OnProgress = silent) -> Iterator[Workspace]:
    settings = Settings(study.recipe_folder, study.recipe_folder / "tokens")
    workspace = Workspace(study, settings, on_progress)
    try:
        yield workspace
    finally:
        workspace.close()


@pytest.fixture(scope="module")
def done(pico_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("calibrated")
    source = Path(shutil.copytree(pico_source, folder / "source"))
    recipe = source / "recipe.yaml"
    study = StudyFolder.create(folder / "study", recipe)
    study.save_recipe(recipe.read_text())
    with at_work(study) as workspace:
        workspace.runs.train_experts()
    bare = Path(shutil.copytree(study.folder, folder / "bare"))
    told: list[Progress] = []
    with at_work(study, told.append) as workspace:
        found = run_search(workspace)
        before = run_calibration(workspace, found)
    calibrated = Path(shutil.copytree(study.folder, folder / "calibrated"))
    with at_work(study) as workspace:
        run_validation(workspace)
        after = run_calibration(workspace, found)
    return Done(bare, calibrated, study.folder, tuple(told), found, before, after)


def copy_study(folder: Path, tmp_path: Path, *, old: str, new: str) -> StudyFolder:
    """A copy of a study whose recipe is changed."""
    copied = StudyFolder.open(Path(shutil.copytree(folder, tmp_path / "study")))
    text = (copied.folder / "recipe.yaml").read_text()
    assert old in text
    copied.save_recipe(text.replace(old, new))
    return copied


def found_in(folder: Path) -> CalibrationFound:
    found = load_result(StudyFolder.open(folder), CalibrationFound)
    assert found is not None
    return found


def references_of(folder: Path) -> set[str]:
    return {str(path) for path in folder.glob("references/*/run.json")}


def trained_of(row: BothAnswers) -> Trained:
    assert row.proxy.mixture is not None
    return Trained(
        row.proxy.mixture.array,
        row.proxy.objective,
        np.array([run.objective for run in row.runs]),
        tuple(run.seed for run in row.runs),
    )


def test_uniform_is_trained_first_and_the_rest_by_what_they_are_worth(done: Done) -> None:
    first, *others = found_in(done.calibrated).mixtures
    assert first.proxy.mixture == UNIFORM
    assert first.expected_gain is None
    assert len(others) <= 1
    assert all((row.expected_gain or 0) >= 0.01 for row in others)
    assert all(row.proxy.mixture != UNIFORM for row in others)


def test_the_file_tells_both_answers(done: Done) -> None:
    found, discrepancy = found_in(done.calibrated), done.before.discrepancy
    assert (found.seeds, found.rule) == ((1,), "linear")
    assert found.noise == pytest.approx(discrepancy.noise if discrepancy else 0)
    with at_work(StudyFolder.open(done.calibrated)) as workspace:
        for row in found.mixtures:
            assert row.proxy.mixture is not None
            [proxy] = workspace.proxy.score([row.proxy.mixture])
            [[run]] = workspace.reference((1,)).runs([row.proxy.mixture])
            assert row.proxy == workspace.score_of(proxy)
            score = workspace.score_of(run)
            assert row.runs == (SeedScore(1, score.objective, score.metrics),)


def test_within_bounds_the_centre_of_the_space_is_trained_first(done: Done, tmp_path: Path) -> None:
    old = "calibration: {mixtures: 2, seeds: 1}"
    new = "search: {bounds: {alpha: {max_share: 0.2}}}\ncalibration: {mixtures: 1, seeds: 1}"
    study = copy_study(done.bare, tmp_path, old=old, new=new)
    with at_work(study) as workspace:
        space = workspace.inputs.space
        recommended = save_recommendation(
            workspace, run_calibration(workspace, run_search(workspace))
        )
    [row] = found_in(study.folder).mixtures
    assert str(row.proxy.mixture) == str(centre(space)) == "alpha=0.2,beta=0.4,gamma=0.4"
    assert space.contains(recommended.mixture)


def test_without_a_reference_the_answer_of_the_search_stays(
    done: Done, tmp_path: Path, mixwise: Cli
) -> None:
    old, new = "calibration: {mixtures: 2, seeds: 1}", "calibration: {mixtures: 0}"
    study = copy_study(done.bare, tmp_path, old=old, new=f"{new}\nsearch: {{prefer: none}}")
    with at_work(study) as workspace:
        calibrated = run_calibration(workspace, done.found)
    assert calibrated.discrepancy is None
    assert calibrated.found is done.found
    assert not found_in(study.folder).mixtures
    assert not references_of(study.folder)
    code, out, err = mixwise("search", study.folder, "--json")
    assert code == 0, err
    content = json.loads(out)
    assert content["mixture"] == mixture_of(done.found.best).as_dict()
    assert content["reference"]["n_references"] == 0
    assert content["simplicity"] is None


def test_without_calibration_a_validation_tells_the_level_and_moves_nothing(
    done: Done, tmp_path: Path
) -> None:
    study = copy_study(done.validated, tmp_path, old="{mixtures: 2, seeds: 1}", new="{mixtures: 0}")
    with at_work(study) as workspace:
        run_validation(workspace)
        calibrated = run_calibration(workspace, done.found)
    assert calibrated.found is done.found
    assert len(calibrated.trained) == 4
    assert calibrated.discrepancy is not None
    assert references_of(study.folder) == {
        run.replace(str(done.validated), str(study.folder)) for run in references_of(done.validated)
    }


def test_after_a_search_of_subsets_a_subset_is_recommended(done: Done, tmp_path: Path) -> None:
    new = "search: {method: subsets}\ncalibration: {mixtures: 1"
    study = copy_study(done.calibrated, tmp_path, old="calibration: {mixtures: 2", new=new)
    with at_work(study) as workspace:
        found = run_search(workspace)
        calibrated = run_calibration(workspace, found)
        best = save_recommendation(workspace, calibrated).mixture
    assert np.ptp([share for share in best.shares if share]) <= 1e-8  # of a grid of 1e-9
    assert calibrated.discrepancy is not None
    assert str(best) in {str(o.mixture) for o in found.scored}


def test_a_second_time_nothing_is_trained_and_the_bytes_are_the_same(
    done: Done, tmp_path: Path
) -> None:
    study = StudyFolder.open(Path(shutil.copytree(done.calibrated, tmp_path / "study")))
    (study.folder / CALIBRATION_FILE).unlink()
    seen: list[Progress] = []
    with at_work(study, seen.append) as workspace:
        again = run_calibration(workspace, run_search(workspace))
    assert [progress for progress in done.told if progress.task == TRAINING]
    assert not [progress for progress in seen if progress.task == TRAINING]
    expected = (done.calibrated / CALIBRATION_FILE).read_bytes()
    assert (study.folder / CALIBRATION_FILE).read_bytes() == expected
    assert again.trained[0].residual == done.before.trained[0].residual


def test_the_references_of_the_validation_join(done: Done) -> None:
    n_calibration = len(found_in(done.calibrated).mixtures)
    assert len(done.before.trained) == n_calibration
    assert len(done.after.trained) == n_calibration + 4
    assert [t.seeds for t in done.after.trained[n_calibration:]] == [(1, 2)] * 4
    assert found_in(done.validated).mixtures == found_in(done.calibrated).mixtures


def test_the_highest_mixture_has_the_largest_corrected_score(done: Done) -> None:
    """Proxy and correction, built again from the files, over a fine grid of the whole simplex."""
    steps = np.arange(0, 51)
    grid = np.array([(a, b, 50 - a - b) for a in steps for b in steps if a + b <= 50]) / 50
    study = StudyFolder.open(done.validated)
    validation = load_result(study, ValidationFound)
    assert validation is not None
    rows = [*found_in(done.validated).mixtures, *validation.mixtures]
    discrepancy = fit_discrepancy([trained_of(row) for row in rows])
    with at_work(study) as workspace:
        surface = fit_surface(problem_of(workspace), done.found.scored)
        calibrated = run_calibration(workspace, done.found)
        decision = decide(calibrated, prefer="none", is_searched_again=True)
        [rescored] = workspace.proxy.score([decision.mixture])

    def corrected(shares: np.ndarray) -> np.ndarray:
        return np.asarray(surface.value(shares) + discrepancy.predict(shares)[0])

    best = np.array([decision.mixture.shares])
    assert done.after.value(grid) == pytest.approx(corrected(grid), abs=1e-9)
    assert float(corrected(best)[0]) >= corrected(grid).max() - 1e-3 * np.ptp(corrected(grid))
    assert np.abs(discrepancy.predict(grid)[0]).max() > 1e-3  # there is something to correct
    assert decision.best.values == rescored.values


def test_the_centre_rule_trains_its_run_when_asked_and_is_exact_there(
    done: Done, tmp_path: Path, mixwise: Cli
) -> None:
    study = StudyFolder.open(Path(shutil.copytree(done.bare, tmp_path / "study")))
    command = ("score", study.folder, "--mixture", UNIFORM, "--rule", "centre", "--json")
    code, out, err = mixwise(*command, "--train")
    assert code == 0, err
    [run] = references_of(study.folder)
    with at_work(study) as workspace:
        seed = workspace.recipe.training.seed
        assert Path(run).parent == workspace.runs.job(UNIFORM, seed).output
        [[own]] = workspace.reference((seed,)).runs([UNIFORM])
        [linear] = workspace.proxy.score([UNIFORM])
    [score] = json.loads(out)
    assert score["rule"] == "centre"
    for metric, value in own.values.items():
        assert score["metrics"][metric] == pytest.approx(value, abs=1e-6)
    assert abs(linear.values["mixed/loss"] - own.values["mixed/loss"]) > 1e-4


def test_the_references_rule_needs_a_reference(done: Done, mixwise: Cli) -> None:
    command = ("--mixture", "alpha=0.5,gamma=0.5", "--rule", "references", "--json")
    code, _, err = mixwise("score", done.bare, *command)
    assert code == 1
    assert err.count("mixwise: error:") == 1
    assert "merge rule `references` needs at least one trained reference" in err
    code, out, err = mixwise("score", done.validated, *command)
    assert code == 0, err
    [score] = json.loads(out)
    assert score["rule"] == "references"
    assert score["metrics"]["mixed/loss"] > 0


@pytest.mark.parametrize(
    ("rule", "method"),
    [("optimiser-aware", "full"), ("ties", "lora")],
)
def test_other_rules_run_to_the_end(
    rule: str, method: str, pico: Path, tmp_path: Path, mixwise: Cli
) -> None:
    recipe = pico / "recipe.yaml"
    text = recipe.read_text()
    text = text.replace("training: {", f"merge: {{rule: {rule}}}\ntraining: {{method: {method}, ")
    text = text.replace("{mixtures: 2, seeds: 1}", "{mixtures: 1, seeds: 1}")
    text = text.replace("{mixtures: 4, seeds: 2}", "{mixtures: 0}\nfinal: {train: false}")
    recipe.write_text(text)
    assert load_recipe(recipe).chosen_rule == rule
    code, out, err = mixwise("run", recipe, "--study", tmp_path / "study", "--json")
    assert code == 0, err
    content = json.loads(out)
    assert content["provenance"]["rule"] == rule
    assert content["reference"] is not None
    assert content["cost"]["runs"]["experts"] == 3
