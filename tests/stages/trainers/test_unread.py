from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.stages.trainers.configs import refuse, take

from mixwise.errors import RecipeError
from mixwise.stages.trainers.read import read_config
from mixwise.stages.trainers.unread import unread_keys

MODEL = {"_target_": "AutoModel", "pretrained_model_name_or_path": "org/base"}
TOKENS = "whose files hold token ids and no texts: run `mixwise init` without `--from`"


@pytest.mark.parametrize(
    ("values", "whose"),
    [
        ({"source_list": {"sources": []}, "requested_tokens": 8}, "OLMo-core"),
        ({"dataset": {"source_mixture_config": {}}}, "OLMo-core"),
        ({"model": MODEL, "dataset": {"paths": ["0.5", "a_text_document"]}}, "NeMo Automodel"),
        ({"dataset": {"name": "x"}, "domain_mixture": {"domains": []}}, "NeMo Automodel"),
        ({"data_path": ["1.0", "a_text_document"]}, "Megatron"),
        ({"model": {}, "dataset": {"blend": [["a"], None]}}, "Megatron"),
    ],
)
def test_token_files_are_refused_by_their_trainers_name(
    tmp_path: Path, values: dict[str, Any], whose: str
) -> None:
    refuse(f"is that of {whose}, {TOKENS}, and name the texts that were", tmp_path, values)


@pytest.mark.parametrize(
    "values",
    [
        {"model": "b", "train_dataset": "data.yaml", "cutoff_len": 16},
        {"talks": {"path": "org/talks", "converter": "sharegpt", "weight": 2.0}},
    ],
)
def test_the_newer_interface_of_llamafactory_is_told_from_the_older(
    tmp_path: Path, values: dict[str, Any]
) -> None:
    refuse("is that of LLaMA-Factory's v1: give one of its older interface", tmp_path, values)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("swift.sh", "is a script of the shell, which is not run: give ms-swift's arguments as"),
        ("titan_data.PY", "is Python, which is not run: run `mixwise init` without `--from`"),
        ("train.toml", "is TOML"),
    ],
)
def test_scripts_are_not_run(tmp_path: Path, name: str, why: str) -> None:
    (tmp_path / name).write_text("exit 1\n")
    with pytest.raises(RecipeError, match=why):
        read_config(tmp_path / name, tmp_path)


def test_what_is_read_is_not_refused(tmp_path: Path) -> None:
    assert unread_keys({}) is None
    assert unread_keys({"model": "b", "dataset": ["a.jsonl"]}) is None
    values = {"model_name_or_path": "org/base", "datasets": [{"path": "org/web"}]}
    assert take(tmp_path, values).trainer == "TRL"


def test_a_part_of_the_run_as_warm_up_is_left_out(tmp_path: Path) -> None:
    values = {"model_name_or_path": "org/base", "datasets": [{"path": "org/web"}]}
    taken = take(tmp_path, values | {"warmup_steps": 0.1})
    assert "warmup_steps: 0.1" in taken.left_out
    assert "training.warmup_steps" not in taken.keys
    assert take(tmp_path, values | {"warmup_steps": 5}).keys["training.warmup_steps"] == 5
