from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mixwise.stages.diagnose import run_diagnosis
from mixwise.stages.validate import run_validation
from mixwise.study.folder import StudyFolder
from mixwise.study.inputs import Settings
from mixwise.study.result_files import load_result
from mixwise.study.results import Diagnosis
from mixwise.study.session import Workspace

DOMAINS = ["alpha", "beta", "gamma"]


@dataclass(frozen=True)
class Diagnosed:
    """What was diagnosed before validation and after it."""

    folder: Path
    before: Diagnosis
    after: Diagnosis


@pytest.fixture(scope="module")
def diagnosed(pico_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Diagnosed]:
    source = Path(shutil.copytree(pico_source, tmp_path_factory.mktemp("diagnosed") / "source"))
    recipe = source / "recipe.yaml"
    text = recipe.read_text().replace(
        "warmup_steps: 1", "warmup_steps: 1, trajectory_checkpoints: 1"
    )
    quiz = "{set: mixed, measure: loss}, {set: quiz, measure: accuracy}"
    recipe.write_text(text.replace("{set: mixed, measure: loss}", quiz))
    study = StudyFolder.create(source / "study", recipe)
    study.save_recipe(recipe.read_text())
    workspace = Workspace(study, Settings(source, source / "tokens"), rule="linear")
    try:
        workspace.runs.train_experts()
        before = run_diagnosis(workspace)
        run_validation(workspace)
        yield Diagnosed(study.folder, before, run_diagnosis(workspace))
    finally:
        workspace.close()


def test_before_validation_theory_predicts_and_trusts_no_level(diagnosed: Diagnosed) -> None:
    found = diagnosed.before
    assert found.fidelity is None
    assert found.trust.basis == "predicted"
    assert found.trust.word in {"trust the ranking only", "do not trust"}
    assert found.trust.remedies[-1].startswith("train 4 references")
    assert found.interference.noise is None


def test_after_validation_the_measured_fidelity_decides(diagnosed: Diagnosed) -> None:
    found = diagnosed.after
    assert found.trust.basis == "measured"
    assert "over 4 references ρ is" in found.trust.reasons[0]
    assert found.fidelity is not None
    assert found.fidelity.n_mixtures == 4
    assert load_result(StudyFolder.open(diagnosed.folder), Diagnosis) == found


def test_geometry_comes_whole_by_block_and_along_the_runs(diagnosed: Diagnosed) -> None:
    found = diagnosed.before
    assert list(found.geometry.domains) == DOMAINS
    names = [block.name for block in found.geometry.blocks]
    assert names == ["embedding", "layer 0", "layer 1", "rest"]
    [point] = found.trajectory
    assert point.step == 2
    assert all(0 < progress < 1 for progress in point.progress)


def test_first_order_effects_are_those_of_finite_steps(diagnosed: Diagnosed) -> None:
    """Every expert lowers its own held-out loss, and to first order most of all that loss."""
    slopes = diagnosed.before.interference.first_order
    for k, name in enumerate(DOMAINS):
        assert slopes[f"{name}/loss"][k] < 0
    assert set(slopes) >= {"mixed/loss", "quiz/answer_bits_per_byte"}


def test_every_pair_has_a_predicted_error(diagnosed: Diagnosed) -> None:
    found = diagnosed.before.interference
    pairs = [list(pair.domains) for pair in found.pairs]
    assert pairs == [["alpha", "beta"], ["alpha", "gamma"], ["beta", "gamma"]]
    assert np.diag(found.relative_effective_curvature) == pytest.approx(np.ones(3))
    errors = [pair.metrics["alpha/loss"] for pair in found.pairs]
    assert np.isfinite(errors).all()
    assert np.abs(errors).max() > 0


def test_seeds_show_the_noise_that_merging_averages_away(diagnosed: Diagnosed) -> None:
    before, after = diagnosed.before.interference, diagnosed.after.interference
    noise = after.noise
    assert noise is not None
    for metric, value in noise.items():
        assert after.uniform.averaged_noise[metric] == pytest.approx(-value * (1 - 1 / 3))
    assert set(before.uniform.averaged_noise.values()) == {0}
    shift = after.pairs[0].metrics["beta/loss"] - before.pairs[0].metrics["beta/loss"]
    assert shift == pytest.approx(-noise["beta/loss"] / 2)


def test_a_reference_whose_checkpoint_is_gone_shows_no_noise(
    diagnosed: Diagnosed, tmp_path: Path
) -> None:
    source = Path(shutil.copytree(diagnosed.folder.parent, tmp_path / "source"))
    study = StudyFolder(source / "study", source)
    shutil.rmtree(study.folder / "references")
    workspace = Workspace(study, Settings(source, source / "tokens"), rule="linear")
    try:
        found = run_diagnosis(workspace)
    finally:
        workspace.close()
    assert found.interference.noise is None
    assert found.trust == diagnosed.after.trust
