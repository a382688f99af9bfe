"""A study whose experts are made by gradients, from check to recommendation."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from tests.study.test_folder import make_study

from mixwise.errors import RecipeError
from mixwise.study.folder import StudyFolder
from mixwise.study.inputs import Settings
from mixwise.study.session import Workspace

BY_GRADIENTS = {
    "experts": {"method": "gradients", "horizon_tokens": 128},
    "proxy": {"answer": "auto"},
    "horizon_tokens": 1024,
    "calibration": {"mixtures": 0},
    "validation": {"mixtures": 0},
    "verify": False,
    "final": {"train": False},
}


@pytest.fixture(scope="module")
def source(pico_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(shutil.copytree(pico_source, tmp_path_factory.mktemp("moved") / "source"))
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text()) | BY_GRADIENTS
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    return folder


def workspace_of(source: Path, folder: Path) -> Workspace:
    study = make_study(folder / "study", source / "recipe.yaml")
    return Workspace(study, Settings(study.recipe_folder, folder / "cache"))


def test_an_expert_depends_on_the_data_of_all_domains(source: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(source, tmp_path / "other"))
    rows = (other / "gamma.jsonl").read_text().splitlines(keepends=True)
    (other / "gamma.jsonl").write_text("".join(rows[:-5]))
    found = []
    for k, folder in enumerate((source, other)):
        workspace = workspace_of(folder, tmp_path / str(k))
        found.append(workspace.runs.expert_job("alpha").fingerprint)
        workspace.close()
    assert found[0] != found[1]


def test_another_merge_rule_is_refused(source: Path, tmp_path: Path) -> None:
    study = make_study(tmp_path / "study", source / "recipe.yaml")
    workspace = Workspace(study, Settings(study.recipe_folder, tmp_path / "cache"), rule="centre")
    with pytest.raises(RecipeError, match=r"rule `centre` cannot merge experts by gradients"):
        _ = workspace.answers
    workspace.close()


@pytest.mark.filterwarnings("ignore:experts by gradients. of .* end of the range")
def test_check_run_and_report_say_what_was_done(
    source: Path, tmp_path: Path, mixwise: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, err = mixwise("check", source / "recipe.yaml")
    assert code == 0, err
    assert "by gradients: one step along the mean of 2 batches" in " ".join(out.split())
    study = tmp_path / "study"
    code, out, err = mixwise("run", source / "recipe.yaml", "--study", study)
    assert code == 0, err
    assert "Experts, by gradients at the base, read 128 tokens each" in " ".join(out.split())
    found = json.loads((study / "recommendation.json").read_text())
    horizons = found["horizons"]
    assert horizons["expert_method"] == "gradients"
    assert set(horizons["coefficients"]) == {"mixed/loss", "alpha/loss"}
    assert horizons["error"]["single"] > 0
    assert horizons["error"]["level"] > 0
    assert found["cost"]["price"] == pytest.approx(3 * 128 / 1024)
    report = (study / "report.html").read_text()
    assert "moved once along the mean gradient" in report
    assert "Experts, by gradients" in report
    assert any("a single step has no points" in reason for reason in found["trust"]["reasons"])
    _diagnose(study, mixwise)
    code, _, err = mixwise("merge", study, "--to", tmp_path / "merged")
    assert (code, (tmp_path / "merged").exists()) == (1, False)
    assert "experts by gradients are not merged to a model: their steps have no length" in err
    code, out, err = mixwise("verify", study)
    assert code == 0, out + err
    _make_one_anew(study, tmp_path)
    _change_one_domain(study, source, mixwise)


def _change_one_domain(
    study: Path, source: Path, mixwise: Callable[..., tuple[int, str, str]]
) -> None:
    """Every expert rests on all domains: all of them are to be deleted."""
    file = source / "gamma.jsonl"
    before = file.read_text()
    file.write_text("".join(before.splitlines(keepends=True)[:-5]))
    code, _, err = mixwise("run", source / "recipe.yaml", "--study", study)
    file.write_text(before)
    assert code == 1
    assert f"delete {study / 'experts'}, whose experts by gradients rest on all" in err


def _diagnose(study: Path, mixwise: Callable[..., tuple[int, str, str]]) -> None:
    """What is said of merges of trained experts is left out, with the reason."""
    code, out, err = mixwise("diagnose", study)
    assert code == 0, err
    words = " ".join(out.split())
    assert "are left out: they are of merges of trained experts" in words
    assert "linear merge" not in words
    found = json.loads((study / "diagnose.json").read_text())
    assert [found[key] for key in ("interference", "precision", "trust")] == [None] * 3
    assert len(found["geometry"]["relative_sizes"]) == 3
    code, _, err = mixwise("report", study)
    assert code == 0, err
    report = (study / "report.html").read_text()
    assert "Sizes are those of that one length" in report
    assert "On the proxy as it is, without calibration" not in report
    assert "averaged predictions. Ranked by the proxy" in report
    assert "merge rule linear" not in report


def _make_one_anew(folder: Path, scratch: Path) -> None:
    """Take an expert away: all gradients are measured once more, and it is what it was."""
    study = StudyFolder.open(folder)
    workspace = Workspace(study, Settings(study.recipe_folder, scratch / "cache"))
    try:
        runs, names = workspace.runs, workspace.recipe.domain_names
        before = {name: runs.expert(name).fingerprint for name in names}
        assert len(set(before.values())) == 3
        assert not study.gradients_folder.exists()
        shutil.rmtree(runs.expert("beta").folder)
        runs.train_experts()
        assert {name: runs.expert(name).fingerprint for name in names} == before
        assert not study.gradients_folder.exists()
        assert len(workspace.answers.points) == 1
        assert workspace.answers.means == ("predictions",)
        tried = {part.coefficient for part in workspace.proxy.parts}
        assert set(workspace.proxy.weighings["mixed/loss"].coefficients.values()) <= tried
    finally:
        workspace.close()
