import json
from pathlib import Path

import pytest
import yaml
from tests.export.studies import hand, handed

from mixwise.errors import RecipeError
from mixwise.export.trainers.llamafactory import LLAMAFACTORY
from mixwise.export.trainers.trainer import require_readable


def test_rows_are_counted_and_datasets_described_in_a_folder_of_their_own() -> None:
    mixture = hand(
        handed("a", 0.5, n_rows=40, mean=5, records="alpaca"),
        handed("b", 0.5, n_rows=100, mean=10, records="chat"),
    )
    require_readable(mixture, LLAMAFACTORY)
    made = LLAMAFACTORY.render(mixture, Path("/out/mine.yaml"))
    content = yaml.safe_load("\n".join(made.lines))
    assert (content["dataset"], content["mix_strategy"]) == ("a,b", "concat")
    assert content["dataset_dir"] == "/out/mine-data"
    info = json.loads(made.beside[Path("/out/mine-data/dataset_info.json")])
    assert info["a"] == {
        "file_name": "/data/a.jsonl",
        "formatting": "alpaca",
        "columns": {"prompt": "instruction", "response": "output", "query": "input"},
        "num_samples": 100,  # 2.5 epochs
    }
    assert info["b"]["num_samples"] == 50
    assert info["b"]["tags"]["role_tag"] == "role"


@pytest.mark.parametrize(
    ("learn", "key"), [("completion", "mask_history"), ("all", "train_on_prompt")]
)
def test_what_is_learned_is_said(learn: str, key: str) -> None:
    talks = handed("a", 1.0, n_rows=40, mean=5, records="chat", learn=learn)
    content = yaml.safe_load("\n".join(LLAMAFACTORY.render(hand(talks), Path("x.yaml")).lines))
    assert content[key] is True
    assert content["stage"] == "sft"
    other = handed("b", 1.0, n_rows=40, mean=5, records="chat")
    with pytest.raises(RecipeError, match=r"`learn`: LLaMA-Factory learns"):
        LLAMAFACTORY.render(hand(talks, other), Path("x.yaml"))


def test_a_compressed_file_is_refused() -> None:
    packed = handed("a", 1.0, n_rows=40, mean=5, files=(Path("/data/a.jsonl.gz"),))
    with pytest.raises(RecipeError, match=r"files that end in .*but this is a\.jsonl\.gz"):
        require_readable(hand(packed), LLAMAFACTORY)
