from pathlib import Path

import pytest

from mixwise.errors import CheckpointError
from mixwise.merging.fit.labels import require_same_labels


@pytest.fixture
def expert(tmp_path: Path) -> Path:
    from transformers import BertConfig

    BertConfig(id2label={0: "pos", 1: "neg"}, label2id={"pos": 0, "neg": 1}).save_pretrained(
        tmp_path
    )
    return tmp_path


def test_labels_in_the_same_order_pass(expert: Path) -> None:
    require_same_labels(expert, ("pos", "neg"))


def test_outputs_without_names_are_taken_for_the_bases(tmp_path: Path) -> None:
    from transformers import BertConfig

    BertConfig(num_labels=2).save_pretrained(tmp_path)
    require_same_labels(tmp_path, ("pos", "neg"))


def test_another_order_is_refused(expert: Path) -> None:
    with pytest.raises(CheckpointError, match=r"output 0 must be `neg`, .* but .* says `pos`"):
        require_same_labels(expert, ("neg", "pos"))


def test_another_number_is_refused(expert: Path) -> None:
    with pytest.raises(CheckpointError, match="the base's 3 labels, but has 2"):
        require_same_labels(expert, ("neg", "pos", "none"))


def test_a_configuration_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"config\.json cannot be used"):
        require_same_labels(tmp_path, ("neg", "pos"))
