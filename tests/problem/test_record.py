from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tests.problem.toys import ACCURACY, ASKED, LOSS, build, evaluate, toy, train
from torch import Tensor, nn

from mixwise.api import ProblemStudy
from mixwise.errors import DamagedError, MixwiseWarning, RecipeError, StudyError
from mixwise.study.folder import StudyFolder


def other_train(network: nn.Module, mixture: Mapping[str, float], horizon: int, seed: int) -> None:
    """Twice as far."""
    train(network, mixture, 2 * horizon, seed)


def other_build() -> nn.Module:
    network = build()
    with torch.no_grad():
        network[0].bias += STATE.bias
    return network


def other_evaluate(network: nn.Module) -> dict[str, Tensor]:
    found = evaluate(network)
    return found | {"target/loss": found["target/loss"] * (1 + STATE.noise)}


STATE = SimpleNamespace(bias=0.0, noise=0.0)  # an object, whose values no source shows


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with ProblemStudy.create(tmp_path / "study", toy(), ASKED):
        return tmp_path / "study"


def test_the_same_problem_opens_it_again_and_its_settings_are_kept(folder: Path) -> None:
    with ProblemStudy.open(folder, toy()) as study:
        assert study.recipe.settings.horizon_examples == 400
        assert study.check().base.keys() == {"target/loss", "target/accuracy"}
        assert study.check().price == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("name", ["train", "evaluate"])
def test_a_changed_function_is_refused_by_name(folder: Path, name: str) -> None:
    changed = {"train": other_train, "evaluate": other_evaluate}
    with (
        pytest.raises(StudyError, match=f"`{name}` of problem `toy` is not the one"),
        ProblemStudy.open(folder, toy(**{name: changed[name]})),
    ):
        pass


def test_with_a_version_a_changed_source_is_said_and_a_changed_version_refused(
    tmp_path: Path,
) -> None:
    first = toy(version="1")
    with ProblemStudy.create(tmp_path, first, ASKED) as study:
        study.train_experts()
    with (
        pytest.warns(MixwiseWarning, match="the source of `train` has changed, but the version"),
        ProblemStudy.open(tmp_path, replace(first, train=other_train)) as study,
    ):
        study.train_experts()  # they are taken as they are
    with (
        pytest.raises(StudyError, match="whose version is `1`, but got `2`"),
        ProblemStudy.open(tmp_path, replace(first, version="2")),
    ):
        pass


@pytest.mark.parametrize(
    ("key", "match"),
    [("bias", "makes another base .*tensor `0.bias`"), ("noise", "gives other values of `target/")],
)
def test_what_no_source_shows_is_noticed_by_base_and_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, match: str
) -> None:
    problem = toy(build=other_build, evaluate=other_evaluate, version="1")
    with ProblemStudy.create(tmp_path, problem, ASKED):
        pass
    monkeypatch.setattr(STATE, key, 0.1)
    with pytest.raises(StudyError, match=match), ProblemStudy.open(tmp_path, problem):
        pass


def test_another_name_or_a_further_function_is_refused(folder: Path) -> None:
    with (
        pytest.raises(StudyError, match="whose name is `toy`, but got `other`"),
        ProblemStudy.open(folder, toy(name="other")),
    ):
        pass
    with (
        pytest.raises(StudyError, match="was made without `recalibrate`"),
        ProblemStudy.open(folder, toy(recalibrate=lambda network: None)),
    ):
        pass


def test_a_damaged_base_is_refused(folder: Path) -> None:
    (folder / "base" / "model.safetensors").write_bytes(b"no tensors")
    with (
        pytest.raises(DamagedError, match=r"model.safetensors: is missing, or not what was"),
        ProblemStudy.open(folder, toy()),
    ):
        pass


def test_functions_without_source_need_a_version(tmp_path: Path) -> None:
    scope: dict[str, Any] = {}
    exec("def made(network, mixture, horizon, seed): return network", scope)
    with (
        pytest.raises(RecipeError, match=r"source of `train` cannot be read.*give the problem a"),
        ProblemStudy.create(tmp_path, toy(train=scope["made"]), ASKED),
    ):
        pass


def test_a_study_of_a_recipe_and_one_of_a_problem_are_not_each_other(
    folder: Path, tmp_path: Path
) -> None:
    other = StudyFolder.create(tmp_path / "other", tmp_path / "recipe.yaml")
    other.save_recipe("base: base")
    with (
        pytest.raises(StudyError, match="is a study of a recipe, and not of a problem"),
        ProblemStudy.create(tmp_path / "other", toy(), ASKED),
    ):
        pass
    with pytest.raises(StudyError, match="is a study of a recipe, and not of a problem"):
        ProblemStudy.open(tmp_path / "other", toy())
    with pytest.raises(StudyError, match=r"is a study of the problem `toy`.*ProblemStudy\.open"):
        _ = StudyFolder.open(folder).recipe


def test_a_base_of_another_shape_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shaped() -> nn.Module:
        network = build()
        network.append(nn.Linear(2, STATE.width).requires_grad_(False))
        for parameter in network[-1].parameters():
            nn.init.zeros_(parameter)
        return network if STATE.width > 1 else network[:-1]

    def first_layers(network: nn.Module) -> dict[str, Tensor]:
        return evaluate(network[:3])

    problem = toy(build=shaped, evaluate=first_layers)
    monkeypatch.setattr(STATE, "width", 2, raising=False)
    with ProblemStudy.create(tmp_path, problem, ASKED):
        pass
    for width in (3, 1):
        STATE.width = width
        with (
            pytest.raises(StudyError, match=r"makes another base .*tensor `3\.bias`"),
            ProblemStudy.open(tmp_path, problem),
        ):
            pass


def test_metrics_of_another_set_are_refused_where_nothing_is_measured(folder: Path) -> None:
    other = toy(metrics=(LOSS, ACCURACY, replace(LOSS, set_name="other")))
    with (
        pytest.raises(StudyError, match="metrics of set `other` are not measured"),
        ProblemStudy.open(folder, other, read_only=True),
    ):
        pass


def test_settings_that_were_edited_in_the_folder_are_taken_and_told(folder: Path) -> None:
    file = folder / "recipe.yaml"
    file.write_text(file.read_text().replace("horizon_examples: 400", "horizon_examples: 500"))
    with pytest.warns(MixwiseWarning, match=r"recipe\.yaml: is not what the study was made with"):
        study = ProblemStudy.open(folder, toy())
    assert study.recipe.run_tokens == 500
