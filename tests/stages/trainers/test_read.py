from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.stages.trainers.configs import refuse, take, write_config, write_row

from mixwise.errors import RecipeError
from mixwise.recipe import load_recipe
from mixwise.stages.init import write_recipe
from mixwise.stages.trainers.places import name_domains
from mixwise.stages.trainers.read import read_config

NAMES = ("alpha", "beta", "gamma")
CONFIGS: dict[str, dict[str, Any]] = {
    "TRL": {
        "model_name_or_path": "base",
        "datasets": [{"path": "json", "data_files": f"{name}.jsonl"} for name in NAMES],
        "max_length": 16,
        "learning_rate": 3e-3,
        "per_device_train_batch_size": 4,
        "max_steps": 100,
        "warmup_ratio": 0.1,
    },
    "Axolotl": {
        "base_model": "base",
        "datasets": [{"path": f"{name}.jsonl", "type": "completion"} for name in NAMES],
        "sequence_len": 16,
        "learning_rate": 3e-3,
        "micro_batch_size": 4,
        "max_steps": 100,
        "adapter": "lora",
        "lora_r": 4,
        "lora_alpha": 8,
    },
    "LLaMA-Factory": {
        "model_name_or_path": "base",
        "stage": "pt",
        "dataset": ",".join(NAMES),
        "dataset_dir": ".",
        "finetuning_type": "full",
        "cutoff_len": 16,
        "learning_rate": 3e-3,
        "per_device_train_batch_size": 4,
        "max_steps": 100,
    },
    "ms-swift": {
        "model": "base",
        "dataset": [f"{name}.jsonl" for name in NAMES],
        "tuner_type": "full",
        "max_length": 16,
        "learning_rate": 3e-3,
        "per_device_train_batch_size": 4,
        "max_steps": 100,
    },
}


@pytest.mark.parametrize("trainer", CONFIGS)
def test_the_recipe_of_a_configuration_passes_check(
    trainer: str, pico: Path, mixwise: Callable[..., tuple[int, str, str]]
) -> None:
    described = {n: {"file_name": f"{n}.jsonl", "columns": {"prompt": "text"}} for n in NAMES}
    write_row(pico / "dataset_info.json", **described)
    config = write_config(pico, CONFIGS[trainer])
    (pico / "recipe.yaml").unlink()
    code, _, err = mixwise("init", pico, "--from", config)
    assert code == 0, err
    recipe = load_recipe(pico / "recipe.yaml")
    assert recipe.domain_names == NAMES
    assert (recipe.base, recipe.sequence_length, recipe.n_steps) == ("base", 16, 100)
    assert recipe.training.learning_rate == 3e-3
    assert recipe.training.method == ("lora" if trainer == "Axolotl" else "full")
    code, _, err = mixwise("check", pico / "recipe.yaml", "--study", pico / "study")
    assert code == 0, err


def test_the_recipe_says_what_it_does_not_take_over(pico: Path) -> None:
    (pico / "recipe.yaml").unlink()
    text = write_recipe(pico, write_config(pico, CONFIGS["TRL"])).read_text()
    assert text.startswith("# The domains and keys below are those of a configuration of TRL.\n")
    assert "\n#   warmup_ratio: 0.1\n" in text


def test_one_dataset_is_written_with_what_a_mixture_needs(tmp_path: Path) -> None:
    config = write_config(tmp_path, {"model_name_or_path": "b", "dataset_name": "org/wiki"})
    text = write_recipe(tmp_path, config).read_text()
    assert "  wiki:\n    hub: {dataset: org/wiki}\n  # A mixture needs a second one" in text


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"base": "b", "domains": {}}, "must be a configuration of TRL .* but it is none of them"),
        (
            {"model_name_or_path": "b", "dataset": "a", "dataset_name": "a"},
            "but it may be TRL or LLaMA-Factory",
        ),
    ],
)
def test_a_configuration_of_no_trainer_or_of_two_is_refused(
    tmp_path: Path, values: dict[str, Any], rule: str
) -> None:
    refuse(rule, tmp_path, values)


@pytest.mark.parametrize(
    ("text", "rule"),
    [("a: [", "cannot be read"), ("- a", "must be a mapping"), ("1: a", "must be a mapping")],
)
def test_what_is_no_configuration_is_refused(tmp_path: Path, text: str, rule: str) -> None:
    (tmp_path / "train.yaml").write_text(text)
    with pytest.raises(RecipeError, match=rule):
        read_config(tmp_path / "train.yaml", tmp_path)
    with pytest.raises(RecipeError, match="cannot be read"):
        read_config(tmp_path / "none.yaml", tmp_path)


def test_a_path_that_two_folders_have_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    sets = {"base_model": "b", "datasets": [{"path": "a.jsonl", "type": "completion"}]}
    write_row(tmp_path / "here" / "a.jsonl", text="t")
    [domain] = take(tmp_path, sets).domains
    assert domain.keys["files"] == "here/a.jsonl"
    write_row(tmp_path / "a.jsonl", text="t")
    refuse(r"`a\.jsonl` is both .*/here/a\.jsonl and .*a\.jsonl: write the whole", tmp_path, sets)


def test_equal_names_are_numbered() -> None:
    assert name_domains(["a.jsonl", "x/A", "百.json"]) == ["a", "A-2", "d"]


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"datasets": [{"path": "json", "data_files": 3}]}, "data_files` must name files"),
        ({"datasets": [{"path": "json", "data_files": {"train": [1]}}]}, "must name files"),
        ({"max_length": float("inf")}, "`max_length` must be a number"),
        ({"max_length": float("nan")}, "`max_length` must be a number"),
        ({"learning_rate": 10**400}, "`learning_rate` must be a number"),
        ({"datasets": [{"path": "x" * 5000 + ".jsonl"}]}, "is no file here"),
    ],
)
def test_odd_values_are_refused_in_a_line(
    tmp_path: Path, changes: dict[str, Any], rule: str
) -> None:
    values = {"model_name_or_path": "org/base", "datasets": [{"path": "org/web"}]}
    refuse(rule, tmp_path, values | changes)


def test_a_schedule_that_is_no_text_is_left(tmp_path: Path) -> None:
    values = {"model_name_or_path": "org/base", "datasets": [{"path": "org/web"}]}
    taken = take(tmp_path, values | {"lr_scheduler_type": ["cosine"]})
    assert "lr_scheduler_type: ['cosine']" in taken.left_out


def test_aliases_that_unfold_without_end_are_refused(tmp_path: Path) -> None:
    lines = [f"k{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    (tmp_path / "train.yaml").write_text("k0: &a0 [x]\n" + "\n".join(lines))
    with pytest.raises(RecipeError, match="aliases unfold to more than 50,000 values"):
        read_config(tmp_path / "train.yaml", tmp_path)


def test_no_dataset_is_refused_by_llamafactory(tmp_path: Path) -> None:
    refuse("`dataset` must be names", tmp_path, {"model_name_or_path": "b", "dataset": [1]})
