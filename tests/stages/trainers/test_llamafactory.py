from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.stages.trainers.configs import domains_of, refuse, take, write_row

BASE: dict[str, Any] = {"model_name_or_path": "org/base", "dataset": "a"}
OPENAI = {"role_tag": "role", "content_tag": "content", "user_tag": "user",
          "assistant_tag": "assistant"}  # fmt: skip


def describe(folder: Path, **sets: dict[str, Any]) -> None:
    for name in sets:
        write_row(folder / "data" / f"{name}.json", text="t")
    (folder / "data" / "dataset_info.json").write_text(json.dumps(sets))


def test_each_formatting_becomes_records_with_their_fields(tmp_path: Path) -> None:
    describe(
        tmp_path,
        a={"file_name": "a.json"},
        b={"file_name": "b.json", "columns": {"prompt": "q", "response": "r", "system": "s"}},
        c={"file_name": "c.json", "formatting": "sharegpt", "num_samples": 9},
        d={
            "file_name": "d.json",
            "formatting": "sharegpt",
            "columns": {"messages": "messages"},
            "tags": OPENAI,
        },
        e={"hf_hub_url": "org/e", "subset": "en"},
    )
    taken = take(tmp_path, BASE | {"dataset": "a, b,c,d,e", "template": "qwen"})
    alpaca = {"instruction": "instruction", "input": "input", "output": "output"}
    assert domains_of(taken) == {
        "a": {"files": "data/a.json", "records": "alpaca", "fields": alpaca},
        "b": {
            "files": "data/b.json",
            "records": "alpaca",
            "fields": {"instruction": "q", "input": None, "output": "r", "system": "s"},
        },
        "c": {
            "files": "data/c.json",
            "records": "sharegpt",
            "fields": {"conversations": "conversations"},
        },
        "d": {"files": "data/d.json", "records": "chat", "fields": {"messages": "messages"}},
        "e": {
            "hub": {"dataset": "org/e", "config": "en"},
            "records": "alpaca",
            "fields": alpaca,
        },
    }
    assert taken.left_out == ("dataset_info.json.c.num_samples: 9", "template: 'qwen'")


def test_training_is_lora_of_rank_8_where_nothing_is_said(tmp_path: Path) -> None:
    describe(tmp_path, a={"file_name": "a.json"})
    lora = {"rank": 8, "alpha": 16.0, "target_modules": "all-linear"}
    assert take(tmp_path, BASE).keys == {
        "base": "org/base",
        "training.method": "lora",
        "training.lora": lora,
    }
    full = take(tmp_path, BASE | {"finetuning_type": "full", "cutoff_len": 64})
    assert full.keys == {"base": "org/base", "sequence_length": 64}
    chosen = take(tmp_path, BASE | {"lora_target": "q_proj, v_proj", "lora_rank": 4})
    assert chosen.keys["training.lora"]["target_modules"] == ["q_proj", "v_proj"]


@pytest.mark.parametrize(
    ("keys", "learn"),
    [({}, None), ({"train_on_prompt": True}, "all"), ({"mask_history": True}, "completion")],
)
def test_what_is_learned_is_taken_over(
    tmp_path: Path, keys: dict[str, Any], learn: str | None
) -> None:
    describe(tmp_path, a={"file_name": "a.json"})
    assert domains_of(take(tmp_path, BASE | keys))["a"].get("learn") == learn


def test_texts_of_pretraining_stand_in_the_column_of_prompts(tmp_path: Path) -> None:
    describe(tmp_path, a={"file_name": "a.json", "columns": {"prompt": "text"}})
    found = domains_of(take(tmp_path, BASE | {"stage": "pt"}))
    assert found == {"a": {"files": "data/a.json", "field": "text"}}


@pytest.mark.parametrize(
    ("entry", "rule"),
    [
        ({"ranking": True}, r"`dataset_info\.json\.a\.ranking` must be false"),
        ({"columns": {"prompt": "a", "response": "b", "history": "h"}}, "must not have history"),
        ({"columns": {"prompt": "a"}}, "must name prompt and response"),
        ({"formatting": "other"}, "must be alpaca, sharegpt or openai, but got 'other'"),
        ({"formatting": "sharegpt", "tags": {"user_tag": "me"}}, "have human or user for user_tag"),
        ({"formatting": "sharegpt", "tags": {"role_tag": "who"}}, "must name role and content, or"),
    ],
)
def test_parts_that_would_be_lost_are_refused(
    tmp_path: Path, entry: dict[str, Any], rule: str
) -> None:
    describe(tmp_path, a={"file_name": "a.json", **entry})
    refuse(rule, tmp_path, BASE)


def test_sets_that_are_not_described_and_other_stages_are_refused(tmp_path: Path) -> None:
    refuse("`dataset_dir`: data/dataset_info.json cannot be read", tmp_path, BASE)
    describe(tmp_path, wiki={"file_name": "wiki.json"})
    refuse("`a` is not described in dataset_info.json: valid are: `wiki`", tmp_path, BASE)
    refuse("`stage` must be sft or pt, but got 'dpo'", tmp_path, BASE | {"stage": "dpo"})
    (tmp_path / "data" / "dataset_info.json").write_text("[]")
    refuse("it must hold an object", tmp_path, BASE)
