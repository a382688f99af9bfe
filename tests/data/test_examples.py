"""Labelled texts as rows: cut, filled up, counted as they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from mixwise.data.examples import ExampleEncoder, ExampleStream
from mixwise.data.labelled import write_examples
from mixwise.data.tokenising import Sides
from mixwise.errors import DataError
from mixwise.label_heads import LabelHead
from mixwise.records.record import Document

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "c"]
HEAD = LabelHead(("bad", "good"))


def encoder_that_cuts(side: str) -> ExampleEncoder:
    made = Tokenizer(models.WordLevel({word: k for k, word in enumerate(WORDS)}, "[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        truncation_side=side,
    )
    return ExampleEncoder(tokenizer, HEAD, width=5)


@pytest.fixture(scope="module")
def encoder() -> ExampleEncoder:
    return encoder_that_cuts("right")


def document(text: str, label: str) -> Document:
    return Document(text, "d.jsonl", 1, label=label)


def test_a_long_text_is_cut_within_its_special_tokens(encoder: ExampleEncoder) -> None:
    assert encoder.encode(["a b", "a b c a b"]) == [([2, 4, 5, 3], 4), ([2, 4, 5, 6, 3], 7)]


def test_the_side_that_is_cut_makes_other_examples(encoder: ExampleEncoder) -> None:
    left = encoder_that_cuts("left")
    assert left.encode(["a b c a b"]) == [([2, 6, 4, 5, 3], 7)]
    assert left.fingerprint != encoder_that_cuts("right").fingerprint


def test_rows_are_filled_up_and_lengths_are_those_of_the_texts(
    tmp_path: Path, encoder: ExampleEncoder
) -> None:
    train = [document("a", "good"), document("a b c a b", "bad"), document(" ", "bad")]
    write_examples(tmp_path / "d", Sides(train, [document("b", "good")]), encoder, lambda n: None)
    stream = ExampleStream(
        ids=tmp_path / "d" / "train.u32",
        labels=tmp_path / "d" / "train_labels.u32",
        lengths=tmp_path / "d" / "train_lengths.npy",
        width=5,
    )
    assert np.load(stream.lengths).tolist() == [3, 7]
    assert stream.n_rows(1) == 2
    rows = stream.rows(1, None)
    short, long = rows.item(0), rows.item(1)
    assert short["input_ids"].tolist() == [2, 4, 3, 0, 0]
    assert short["attention_mask"].tolist() == [1, 1, 1, 0, 0]
    assert int(short["labels"]) == 1
    assert long["attention_mask"].tolist() == [1] * 5
    assert int(long["labels"]) == 0


def test_a_label_that_the_base_does_not_know_names_its_row(encoder: ExampleEncoder) -> None:
    with pytest.raises(DataError, match=r"d\.jsonl:1: the label `god` is none of the base's 2"):
        encoder.label(document("a", "god"))
