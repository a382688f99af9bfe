from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mixwise.errors import RecipeError
from mixwise.stages.score import score_mixtures
from mixwise.study.folder import StudyFolder
from mixwise.study.inputs import Settings
from mixwise.study.session import Workspace

Cli = Callable[..., tuple[int, str, str]]
MIXTURE = "alpha=0.5,beta=0.5"


@contextmanager
def at_work(folder: Path, rule: str | None = None) -> Iterator[Workspace]:
    study = StudyFolder.open(folder)
    settings = Settings(study.recipe_folder, study.recipe_folder / "tokens")
    workspace = Workspace(study, settings, rule=rule)
    try:
        yield workspace
    finally:
        workspace.close()


@pytest.fixture(scope="module")
def trained(pico_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that has its experts and nothing else."""
    source = Path(shutil.copytree(pico_source, tmp_path_factory.mktemp("score") / "source"))
    study = StudyFolder.create(source / "study", source / "recipe.yaml")
    study.save_recipe((source / "recipe.yaml").read_text())
    with at_work(study.folder) as workspace:
        workspace.runs.train_experts()
    return study.folder


@pytest.fixture
def study(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "study"))


def references_of(folder: Path) -> int:
    return len(list(folder.glob("references/*/run.json")))


def test_a_rule_that_needs_runs_trains_none_unasked_and_says_their_price(study: Path) -> None:
    refused = (
        r"^merge rule `pairs\+centre` needs models besides the experts that are not trained yet "
        r"\(4 training runs of 256 tokens each, 1,024 in all, about .* one after the other\): add "
        r"`--train`"
    )
    with at_work(study, "pairs+centre") as workspace, pytest.raises(RecipeError, match=refused):
        score_mixtures(workspace, [MIXTURE], "proxy")
    assert references_of(study) == 0


def test_what_is_trained_already_is_neither_asked_for_nor_told(study: Path) -> None:
    with at_work(study, "centre") as workspace:
        told: list[str] = []
        first = score_mixtures(workspace, [MIXTURE], "proxy", may_train=True, on_note=told.append)
        assert references_of(study) == 1
        again = score_mixtures(workspace, [MIXTURE], "proxy", on_note=told.append)
    assert first == again
    [note] = told
    assert note.startswith("merge rule `centre` trains what it needs besides the experts: 1 train")
    assert "one after the other" not in note


def test_a_rule_that_needs_no_run_is_scored_without_a_word(study: Path) -> None:
    with at_work(study, "ties") as workspace:
        told: list[str] = []
        [score] = score_mixtures(workspace, [MIXTURE], "proxy", on_note=told.append)
    assert score.rule == "ties"
    assert told == []


def test_the_reference_says_first_what_it_trains(study: Path, mixwise: Cli) -> None:
    command = ("score", study, "--mixture", MIXTURE, "--answer", "reference", "--json")
    code, out, err = mixwise(*command)
    assert code == 0, err
    assert "mixwise: the reference trains: 2 training runs of 256 tokens each, 512 in all" in err
    assert json.loads(out)[0]["seeds"] == [1, 2]
    code, again, err = mixwise(*command)
    assert (code, again) == (0, out)
    assert "trains" not in err


def test_a_refused_rule_is_one_line_on_the_command_line(study: Path, mixwise: Cli) -> None:
    command = ("score", study, "--mixture", MIXTURE, "--rule", "centre")
    code, out, err = mixwise(*command)
    assert (code, out) == (1, "")
    [line] = [line for line in err.splitlines() if line.startswith("mixwise: error:")]
    assert "about" in line
    assert "add `--train`" in line
    code, out, err = mixwise(*command, "--train")
    assert code == 0, err
    assert "rule centre" in out
