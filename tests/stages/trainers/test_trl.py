from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.stages.trainers.configs import TURNS, domains_of, refuse, take, write_row

BASE: dict[str, Any] = {"model_name_or_path": "org/base"}


def test_a_mixture_becomes_domains_that_learn_what_trl_learns(tmp_path: Path) -> None:
    write_row(tmp_path / "chat.jsonl", messages=TURNS)
    write_row(tmp_path / "pairs.jsonl", prompt="a", completion="b")
    write_row(tmp_path / "plain.jsonl", content="a")
    files = [{"path": "json", "data_files": f"{n}.jsonl"} for n in ("chat", "pairs", "plain")]
    hub = {"path": "org/wiki", "name": "en", "split": "train[:5%]", "fraction": 0.5}
    values = BASE | {"datasets": [*files, hub], "dataset_text_field": "content"}
    taken = take(tmp_path, values)
    assert domains_of(taken) == {
        "chat": {"files": "chat.jsonl", "learn": "all"},
        "pairs": {"files": "pairs.jsonl", "learn": "completion"},
        "plain": {"files": "plain.jsonl", "field": "content"},
        "wiki": {
            "hub": {"dataset": "org/wiki", "config": "en", "split": "train[:5%]"},
            "field": "content",
        },
    }
    assert taken.left_out == (
        "wiki: of conversations TRL learns all, which is `learn: all` here",
        "datasets.3.fraction: 0.5",
    )
    masked = values | {"assistant_only_loss": True, "completion_only_loss": False}
    learned = [keys.get("learn") for keys in domains_of(take(tmp_path, masked)).values()]
    assert learned == ["assistant", "all", None, None]


def test_one_dataset_and_the_keys_of_training_are_taken(tmp_path: Path) -> None:
    taken = take(
        tmp_path,
        BASE
        | {
            "model_revision": "v1",
            "dataset_name": "org/wiki",
            "dataset_config": "en",
            "max_length": 512,
            "learning_rate": "2e-5",
            "per_device_train_batch_size": 4,
            "gradient_accumulation_steps": 2,
            "max_steps": 10,
            "lr_scheduler_type": "constant_with_warmup",
            "bf16": True,
            "use_peft": True,
            "lora_r": 8,
            "packing": True,
        },
    )
    assert domains_of(taken) == {"wiki": {"hub": {"dataset": "org/wiki", "config": "en"}}}
    assert taken.keys == {
        "base": "org/base@v1",
        "sequence_length": 512,
        "horizon_tokens": 10 * 8 * 512,
        "training.learning_rate": 2e-5,
        "training.batch_sequences": 8,
        "training.gradient_accumulation_steps": 2,
        "training.schedule": "constant",
        "training.precision": "bfloat16",
        "training.method": "lora",
        "training.lora": {"rank": 8, "alpha": 32.0, "target_modules": "all-linear"},
    }
    assert taken.left_out == (
        "wiki: of conversations TRL learns all, which is `learn: all` here",
        "lora_target_modules: not set, which is PEFT's choice; all-linear here",
        "packing: True",
    )


def test_what_cannot_be_taken_over_is_refused(tmp_path: Path) -> None:
    where = r"train\.yaml: `datasets\.0"
    refuse(where + r"\.path` must name a dataset", tmp_path, BASE | {"datasets": [{"name": "a"}]})
    missing = {"datasets": [{"path": "json", "data_files": "a.jsonl"}]}
    refuse(where + r"`: `a\.jsonl` is no file here or", tmp_path, BASE | missing)
    chosen = {"datasets": [{"path": "org/a", "data_files": "a.jsonl"}]}
    refuse(where + "`: files of a dataset of the hub cannot be chosen", tmp_path, BASE | chosen)
    refuse("`datasets` must be a list of mappings", tmp_path, BASE | {"datasets": ["a"]})
    refuse("`dataset_name` must name a dataset", tmp_path, BASE | {"dataset_name": None})
    rate = BASE | {"dataset_name": "a", "learning_rate": "fast"}
    refuse("`learning_rate` must be a number, but got 'fast'", tmp_path, rate)
