from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mixwise.mixture import Mixture
from mixwise.stages.calibrate import run_calibration
from mixwise.stages.recommend import save_recommendation
from mixwise.stages.search import run_search
from mixwise.stages.verify import Finding, verify_study
from mixwise.study.folder import StudyFolder
from mixwise.study.inputs import Settings
from mixwise.study.session import Workspace


@pytest.fixture(scope="module")
def whole(pico_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A searched study with its cache and data; do not write to it."""
    folder = tmp_path_factory.mktemp("whole")
    shutil.copytree(pico_source, folder / "source")
    recipe = folder / "source" / "recipe.yaml"
    text = recipe.read_text().replace("calibration: {mixtures: 2", "calibration: {mixtures: 0")
    recipe.write_text(text)
    study = StudyFolder.create(folder / "study", recipe)
    study.save_recipe(text)
    workspace = Workspace(study, Settings(study.recipe_folder, folder / "cache"))
    workspace.runs.train_experts()
    save_recommendation(workspace, run_calibration(workspace, run_search(workspace)))
    workspace.reference([5]).runs([Mixture.uniform(workspace.recipe.domain_names)])
    workspace.close()
    return folder


@pytest.fixture
def place(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "place"))


def verify(place: Path) -> tuple[Finding, ...]:
    study = StudyFolder(place / "study", place / "source")
    return verify_study(study, Settings(place / "source", place / "cache"))


def contents(place: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file()}


def test_a_sound_study_is_right_in_everything_and_left_alone(place: Path) -> None:
    before = contents(place)
    findings = verify(place)
    assert {finding.state for finding in findings} == {"right"}
    assert len(findings) > 20
    assert contents(place) == before


def zero_end(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-20] + bytes(20))


def add_line(path: Path) -> None:
    with path.open("a") as file:
        file.write('{"text": "one two three four five"}\n')


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("file", "damage", "what"),
    [
        ("study/recipe.yaml", zero_end, "recipe.yaml"),
        ("study/search.json", empty, "search.json"),
        ("study/recommendation.json", Path.unlink, "recommendation.json"),
        ("study/ledger.sqlite", halve, "ledger.sqlite"),
        ("study/ledger.sqlite", Path.unlink, "ledger.sqlite"),
        ("study/experts/beta/model.safetensors", zero_end, "experts/beta"),
        ("study/experts/beta/run.json", empty, "experts/beta"),
        ("study/references/*/model.safetensors", zero_end, "references/"),
        ("study/task_vectors/beta.safetensors", halve, "task_vectors/beta.safetensors"),
        ("study/heldout/beta.npy", zero_end, "heldout/beta.npy"),
        ("cache/*/train.u32", zero_end, "cached tokens of"),
        ("source/base/model.safetensors", zero_end, "base"),
        ("source/alpha.jsonl", add_line, "data of alpha"),
    ],
)
def test_what_is_damaged_is_named(
    file: str, damage: Callable[[Path], None], what: str, place: Path
) -> None:
    damage(sorted(place.glob(file))[0])
    bad = [f for f in verify(place) if f.state in ("wrong", "missing")]
    assert any(finding.what.startswith(what) and finding.advice for finding in bad), bad
