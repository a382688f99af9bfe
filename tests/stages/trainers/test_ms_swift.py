from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.stages.trainers.configs import TURNS, domains_of, refuse, take, write_row

BASE: dict[str, Any] = {"model": "org/base", "tuner_type": "full"}


def test_datasets_with_counts_and_of_the_hub_become_domains(tmp_path: Path) -> None:
    write_row(tmp_path / "chat.jsonl", messages=TURNS)
    write_row(tmp_path / "odd#5.jsonl", messages=TURNS)
    given = ["chat.jsonl#500", "odd#5.jsonl", "hf::org/wiki:en#20"]
    taken = take(tmp_path, BASE | {"dataset": given, "loss_scale": "last_round", "deepspeed": "z"})
    assert domains_of(taken) == {
        "chat": {"files": "chat.jsonl", "learn": "completion"},
        "odd-5": {"files": "odd#5.jsonl", "learn": "completion"},
        "wiki": {"hub": {"dataset": "org/wiki", "config": "en"}},
    }
    assert taken.keys == {"base": "org/base"}
    assert taken.left_out == (
        "dataset: chat.jsonl#500: its count of rows, which shares stand for",
        "dataset: hf::org/wiki:en#20: its count of rows, which shares stand for",
        "deepspeed: 'z'",
    )


def test_an_adapter_is_the_usual_one_and_answers_are_learned(tmp_path: Path) -> None:
    write_row(tmp_path / "chat.jsonl", messages=TURNS)
    taken = take(tmp_path, {"model": "b", "dataset": "chat.jsonl", "lora_rank": 4})
    assert domains_of(taken) == {"chat": {"files": "chat.jsonl"}}
    lora = {"rank": 4, "alpha": 32.0, "target_modules": "all-linear"}
    assert taken.keys["training.lora"] == lora
    named = {"model": "b", "dataset": "org/wiki", "use_hf": True, "target_modules": ["q_proj"]}
    other = take(tmp_path, named)
    assert domains_of(other) == {"wiki": {"hub": {"dataset": "org/wiki"}}}
    assert other.keys["training.lora"]["target_modules"] == ["q_proj"]


def test_what_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    refuse("names `org/wiki` of ModelScope", tmp_path, BASE | {"dataset": "org/wiki#500"})
    refuse("names `org/wiki` of ModelScope", tmp_path, BASE | {"dataset": "ms::org/wiki"})
    refuse("`none.jsonl` is no file here", tmp_path, BASE | {"dataset": "none.jsonl"})
    refuse("`dataset` must name a dataset", tmp_path, BASE | {"dataset": []})


def test_weights_of_tokens_are_left(tmp_path: Path) -> None:
    write_row(tmp_path / "chat.jsonl", messages=TURNS)
    taken = take(tmp_path, BASE | {"dataset": "chat.jsonl", "loss_scale": "react"})
    assert taken.left_out == ("loss_scale: 'react'",)
