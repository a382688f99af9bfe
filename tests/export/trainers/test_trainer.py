from pathlib import Path
from typing import Any

import pytest
from tests.export.studies import hand, handed

from mixwise.errors import RecipeError
from mixwise.export.exporters import TRAINERS
from mixwise.export.trainers.head import comment_lines
from mixwise.export.trainers.trainer import (
    Trainer,
    agreed_learning,
    is_read_as_it_stands,
    require_readable,
)
from mixwise.export.trainers.trl import TRL


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
    assert agreed_learning(hand(answers), "TRL", ("assistant", "all")) == "assistant"
    with pytest.raises(RecipeError, match=r"TRL learns assistant or all .*have all, assistant"):
        agreed_learning(hand(answers, everything), "TRL", ("assistant", "all"))
