from pathlib import Path

import pytest
import yaml
from tests.export.studies import hand, handed

from mixwise.errors import RecipeError
from mixwise.export.trainers.trainer import require_readable
from mixwise.export.trainers.trl import TRL
from mixwise.recipe import HubDataset


def test_fractions_are_shares_of_rows() -> None:
    mixture = hand(handed("a", 0.5, n_rows=900, mean=5), handed("b", 0.5, n_rows=90, mean=45))
    content = yaml.safe_load("\n".join(TRL.render(mixture, Path("trl.yaml")).lines))
    assert content == {
        "model_name_or_path": "base",
        "datasets": [
            {"path": "json", "data_files": ["/data/a.jsonl"], "columns": ["text"], "fraction": 0.9},
            {"path": "json", "data_files": ["/data/b.jsonl"], "columns": ["text"], "fraction": 0.1},
        ],
        "packing": True,
        "packing_strategy": "wrapped",
        "max_length": 16,
        "max_steps": 15,
        "seed": 1,
    }


def test_a_dataset_of_the_hub_and_answers_alone() -> None:
    hub = HubDataset(dataset="org/talks", config="en")
    chat = handed("a", 1.0, n_rows=900, mean=5, records="chat", hub=hub, files=(), format=None)
    rendered = TRL.render(hand(chat), Path("trl.yaml"))
    assert "template that marks answers by `{% generation %}`" in rendered.notes[0]
    content = yaml.safe_load("\n".join(rendered.lines))
    [dataset] = content["datasets"]
    assert dataset == {"path": "org/talks", "name": "en", "split": "train", "columns": ["messages"]}
    assert content["assistant_only_loss"] is True
    last = handed("a", 1.0, n_rows=900, mean=5, records="chat", learn="completion")
    with pytest.raises(RecipeError, match=r"TRL learns assistant or all .* they have completion"):
        TRL.render(hand(last), Path("trl.yaml"))


def test_a_revision_and_two_kinds_of_rows_are_refused() -> None:
    pinned = HubDataset(dataset="org/texts", revision="v1")
    texts = handed("a", 0.5, n_rows=900, mean=5)
    hub = handed("b", 0.5, n_rows=900, mean=5, hub=pinned, files=(), format=None)
    with pytest.raises(RecipeError, match=r"domains\.b.*no revision .* but it is `v1`"):
        require_readable(hand(texts, hub), TRL)
    talks = handed("b", 0.5, n_rows=900, mean=5, records="chat")
    with pytest.raises(RecipeError, match=r"domains\.b.*other ones than those of `a`"):
        require_readable(hand(texts, talks), TRL)
    named = handed("b", 0.5, n_rows=900, mean=5, records="chat", fields={"messages": "talk"})
    with pytest.raises(RecipeError, match=r"`messages` by this name alone, but it is `talk`"):
        require_readable(hand(named), TRL)
