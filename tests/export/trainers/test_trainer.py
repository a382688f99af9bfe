from pathlib import Path
from typing import Any

import pytest
from tests.export.studies import hand, handed

from mixwise.errors import RecipeError
from mixwise.export.exporters import TRAINERS
from mixwise.export.trainers.head import comment_lines
from mixwise.export.trainers.llamafactory import LLAMAFACTORY
from mixwise.export.trainers.megatron import MEGATRON
from mixwise.export.trainers.ms_swift import MS_SWIFT
from mixwise.export.trainers.trainer import (
    Trainer,
    agreed_learning,
    is_read_as_it_stands,
    require_readable,
)
from mixwise.export.trainers.trl import TRL
from mixwise.recipe import HubDataset


@pytest.mark.parametrize("trainer", TRAINERS, ids=lambda trainer: trainer.name)
def test_every_trainer_says_the_same_twice_and_a_weight_of_each_domain(trainer: Trainer) -> None:
    records = trainer.reads.records[0]
    mixture = hand(
        handed("a", 0.25, n_rows=900, mean=5, records=records),
        handed("b", 0.75, n_rows=90, mean=14, records=records),
    )
    require_readable(mixture, trainer)
    file = Path("/out") / trainer.file
    made = trainer.render(mixture, file)
    assert made == trainer.render(mixture, file)
    assert list(made.weights) == ["a", "b"]
    assert all(weight > 0 for weight in made.weights.values())
    comment = comment_lines(mixture, trainer, made.weights)
    assert trainer.title in comment[0]
    assert "jsonl" in trainer.reads.suffixes[0]  # what `--materialise` writes


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"where": {"source": "web"}}, r"`where` chooses rows"),
        ({"format": "tsv", "files": (Path("/data/a.tsv.gz"),)}, "tables of commas"),
        ({"format": "text", "files": (Path("/data/a.md"),)}, "plain text"),
        ({"files": (Path("/data/a.zip"),)}, r"files that end in .* but this is a\.zip"),
        (
            {
                "records": "prompt-completion",
                "fields": {"prompt": "prompt", "completion": "completion", "separator": "\n"},
            },
            "prompts without a separator",
        ),
        ({"records": "alpaca"}, "but these are alpaca"),
        (
            {"records": "chat", "fields": {"messages": "messages", "prompt": "context"}},
            "turns alone, but `prompt` stands beside them",
        ),
    ],
)
def test_what_is_refused_names_the_domain_and_the_remedy(
    changes: dict[str, Any], reason: str
) -> None:
    mixture = hand(handed("mine", 1.0, n_rows=900, mean=5, **changes))
    with pytest.raises(RecipeError, match=rf"`domains\.mine`: TRL .*{reason}.*`--materialise`"):
        require_readable(mixture, TRL)


def test_rows_that_are_filtered_are_still_of_a_kind_that_is_read() -> None:
    filtered = handed("mine", 1.0, n_rows=900, mean=5, where={"source": "web"})
    assert is_read_as_it_stands(filtered.source, TRL.reads)
    alpaca = handed("mine", 1.0, n_rows=900, mean=5, records="alpaca")
    assert not is_read_as_it_stands(alpaca.source, TRL.reads)


def test_one_run_learns_in_one_way() -> None:
    answers = handed("a", 0.5, n_rows=9, mean=5, records="chat")
    everything = handed("b", 0.5, n_rows=9, mean=5, records="chat", learn="all")
    assert agreed_learning((answers,), "TRL", ("assistant", "all")) == "assistant"
    with pytest.raises(RecipeError, match=r"TRL learns assistant or all .*have all, assistant"):
        agreed_learning((answers, everything), "TRL", ("assistant", "all"))


_ALL = " torchtitan huggingface"  # which are told by a call of `load_dataset`


@pytest.mark.parametrize(
    ("said", "reason", "knowing"),
    [
        ({"config": "en"}, "no config .* `en`", "trl axolotl llamafactory ms-swift" + _ALL),
        (
            {"split": "validation"},
            "no split .* `validation`",
            "trl axolotl llamafactory llamafactory-v1" + _ALL,
        ),
        ({"revision": "abc"}, "no revision .* `abc`", "axolotl" + _ALL),
        ({"stream_rows": 1000}, "of this one 1,000 rows are read", ""),
    ],
)
def test_what_cannot_be_said_of_a_dataset_of_the_hub_is_refused(
    said: dict[str, Any], reason: str, knowing: str
) -> None:
    hub = HubDataset(dataset="org/rows", **said)
    for trainer in TRAINERS:
        records = trainer.reads.records[0]
        changes = {"records": records, "hub": hub, "files": (), "format": None}
        mixture = hand(handed("mine", 1.0, n_rows=900, mean=5, **changes))
        if trainer.name in knowing.split():
            require_readable(mixture, trainer)
            continue
        files_alone = trainer.name in ("megatron", "nemo", "olmo-core")
        expected = "takes files, but `org/rows` is a dataset of the hub" if files_alone else reason
        with pytest.raises(RecipeError, match=rf"`domains\.mine`: .*{expected}"):
            require_readable(mixture, trainer)


@pytest.mark.parametrize("sign", ["*", "?", "[", "]"])
def test_a_path_that_trainers_take_for_a_pattern_is_refused(sign: str) -> None:
    path = Path(f"/data/a{sign}1.jsonl")
    mixture = hand(handed("mine", 1.0, n_rows=900, mean=5, files=(path,)))
    for trainer in (TRL, MEGATRON):
        with pytest.raises(RecipeError, match=r"takes paths without `.`, but this is /data/a.1"):
            require_readable(mixture, trainer)


@pytest.mark.parametrize("trainer", [LLAMAFACTORY, MS_SWIFT], ids=lambda trainer: trainer.name)
def test_texts_beside_conversations_are_refused_where_a_run_is_of_one(trainer: Trainer) -> None:
    mixture = hand(
        handed("talks", 0.5, n_rows=900, mean=5, records="chat", learn="all"),
        handed("texts", 0.5, n_rows=900, mean=5),
    )
    with pytest.raises(RecipeError, match=r"`domains\.texts`: .* reads texts or conversations"):
        require_readable(mixture, trainer)
