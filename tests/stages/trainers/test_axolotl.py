from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.stages.trainers.configs import domains_of, refuse, take, write_row

BASE: dict[str, Any] = {"base_model": "org/base"}


def test_each_type_becomes_records_with_their_fields(tmp_path: Path) -> None:
    for name in "abcde":
        write_row(tmp_path / f"{name}.jsonl", text="t")
    shared = {"role": "from", "content": "value"}
    sets: list[dict[str, Any]] = [
        {"path": "a.jsonl", "ds_type": "json", "type": "chat_template", "field_messages": "turns"},
        {"path": "b.jsonl", "type": "chat_template", "message_property_mappings": shared},
        {"path": "c.jsonl", "type": "alpaca", "weight": 0.5},
        {"path": "d.jsonl", "type": "completion", "field": "body"},
        {"path": "e.jsonl", "type": "completion"},
    ]
    taken = take(tmp_path, BASE | {"datasets": sets})
    assert domains_of(taken) == {
        "a": {"files": "a.jsonl", "records": "chat", "fields": {"messages": "turns"}},
        "b": {"files": "b.jsonl", "records": "sharegpt", "fields": {"conversations": "messages"}},
        "c": {"files": "c.jsonl", "records": "alpaca"},
        "d": {"files": "d.jsonl", "field": "body"},
        "e": {"files": "e.jsonl", "records": "text"},
    }
    assert taken.left_out == (
        "datasets.2.weight: 0.5",
        "datasets.2.type: alpaca: its sentences; the chat template is used",
    )
    whole = domains_of(take(tmp_path, BASE | {"datasets": sets, "train_on_inputs": True}))
    assert [keys.get("learn") for keys in whole.values()] == ["all", "all", "all", None, None]


def test_the_keys_of_training_are_taken_and_the_rest_is_told(tmp_path: Path) -> None:
    (tmp_path / "own.jinja").write_text("{{ messages }}")
    taken = take(
        tmp_path,
        BASE
        | {
            "pretraining_dataset": "org/web",
            "chat_template": "jinja",
            "chat_template_jinja": "own.jinja",
            "sequence_len": 256,
            "adapter": "lora",
            "lora_r": 4,
            "lora_alpha": 8,
            "lora_target_linear": True,
            "micro_batch_size": 2,
            "lr_scheduler": "cosine",
            "val_set_size": 0.1,
        },
    )
    assert domains_of(taken) == {"web": {"hub": {"dataset": "org/web"}, "records": "text"}}
    assert taken.keys == {
        "base": "org/base",
        "chat_template": "own.jinja",
        "sequence_length": 256,
        "training.schedule": "cosine",
        "training.batch_sequences": 2,
        "training.method": "lora",
        "training.lora": {"rank": 4, "alpha": 8.0, "target_modules": "all-linear"},
    }
    assert taken.left_out == ("val_set_size: 0.1",)


@pytest.mark.parametrize(
    ("entry", "rule"),
    [
        ({"type": "context_qa"}, r"`datasets\.0\.type` must be one of chat_template, alpaca,"),
        ({}, r"`datasets\.0\.type` must be one of"),
        ({"type": {"field_instruction": "q"}}, r"`datasets\.0\.type` must be one of"),
        (
            {"type": "chat_template", "message_property_mappings": {"role": "who"}},
            "`datasets.0.message_property_mappings` must name role and content, or from and value",
        ),
    ],
)
def test_what_mixwise_has_no_records_for_is_refused(
    tmp_path: Path, entry: dict[str, Any], rule: str
) -> None:
    refuse(rule, tmp_path, BASE | {"datasets": [{"path": "org/a", **entry}]})


def test_a_configuration_without_a_dataset_or_a_rank_is_refused(tmp_path: Path) -> None:
    refuse("`datasets` must name a dataset", tmp_path, BASE | {"datasets": []})
    sets = {"datasets": [{"path": "org/a", "type": "alpaca"}], "adapter": "lora"}
    refuse("`lora_r` must be a number, but got None", tmp_path, BASE | sets)
    refuse("`lora_alpha` must be a number, but got None", tmp_path, BASE | sets | {"lora_r": 4})
