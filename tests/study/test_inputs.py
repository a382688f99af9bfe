from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from tests.conftest import write_rows

from mixwise.evaluation.likelihood.choice import ChoiceSet
from mixwise.evaluation.likelihood.text import TextSet
from mixwise.recipe import load_recipe
from mixwise.stages.check import run_check
from mixwise.study.inputs import Inputs, Settings

BOS = "\u0100"  # the token of the byte 0, which no text has


def inputs_of(pico: Path, *edits: tuple[str, str], bos: str = "auto") -> Inputs:
    text = (pico / "recipe.yaml").read_text() + f"bos: {bos}\n"
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    (pico / "other.yaml").write_text(text)
    return Inputs(load_recipe(pico / "other.yaml"), Settings(pico, pico / "tokens"))


def name_bos(pico: Path) -> int:
    file = pico / "base" / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"bos_token": BOS}))
    vocabulary = json.loads((pico / "base" / "tokenizer.json").read_text())["model"]["vocab"]
    return int(vocabulary[BOS])


def test_every_row_begins_with_bos_and_the_same_kind_of_tokens_are_predicted(pico: Path) -> None:
    bos = name_bos(pico)
    long = {"prompt": "one two " * 40, "choices": [" three", " trois"], "answer": 0}
    short = {"prompt": " ", "choices": ["three", "trois"], "answer": 0}
    write_rows(pico / "quiz.jsonl", [long, short])
    begun, bare = inputs_of(pico, bos="always"), inputs_of(pico, bos="never")
    assert begun.suite.fingerprint != bare.suite.fingerprint
    for with_bos, without in zip(begun.suite.sets, bare.suite.sets, strict=True):
        assert with_bos.fingerprint != without.fingerprint
        for row in with_bos.rows():
            assert row.ids[0] == bos
            assert len(row.ids) - row.n_scored >= 1
        if isinstance(with_bos, TextSet) and isinstance(without, TextSet):
            assert with_bos.heldout.tokens.shape[1] == without.heldout.tokens.shape[1] == 16
        if isinstance(with_bos, ChoiceSet):
            assert max(len(row.ids) for row in with_bos.rows()) == 64
    quiz, plain = begun.suite.sets[-1].rows(), bare.suite.sets[-1].rows()
    assert [row.n_scored for row in quiz] == [row.n_scored for row in plain]
    np.testing.assert_array_equal(quiz[0].ids[1:], plain[0].ids[1:])
    np.testing.assert_array_equal(quiz[2].ids[1:], plain[2].ids[1:])  # end of text gives way to BOS


def test_documents_are_begun_ended_and_counted_in_bytes(pico: Path) -> None:
    bos = name_bos(pico)
    begun, bare = inputs_of(pico, bos="always"), inputs_of(pico, bos="never")
    with_bos, without = begun.corpus("alpha"), bare.corpus("alpha")
    assert with_bos.key != without.key
    stream = np.fromfile(with_bos.train.ids, dtype=np.uint32)
    plain = np.fromfile(without.train.ids, dtype=np.uint32)
    end = begun.tokenizer.end_of_text
    begins = np.flatnonzero(stream == bos)
    np.testing.assert_array_equal(begins[1:], np.flatnonzero(stream == end)[:-1] + 1)
    np.testing.assert_array_equal(stream[stream != bos], plain)
    sizes = [
        int(np.fromfile(c.folder / "heldout_bytes.u32", dtype=np.uint32).sum())
        for c in (with_bos, without)
    ]
    assert sizes[0] == sizes[1]


def test_check_says_what_was_chosen_for_bos(pico: Path) -> None:
    assert run_check(inputs_of(pico), pico / "study").notes == ()
    name_bos(pico)
    [note] = run_check(inputs_of(pico), pico / "study").notes
    assert note.startswith(f"`bos: auto`: rows do not begin with BOS (`{BOS}`), as the tokenizer")
    [note] = run_check(inputs_of(pico, bos="always"), pico / "study").notes
    assert note.startswith("`bos: always`: documents and rows begin with BOS")
