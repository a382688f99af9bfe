from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from tests.conftest import write_rows
from tests.data.templates import FAMILIES

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


def talk_in(pico: Path, **config: object) -> None:
    """The rows of `beta` become conversations, and the base gets a chat template."""
    rows = [json.loads(line) for line in (pico / "beta.jsonl").read_text().splitlines()]
    talks: list[dict[str, object]] = [
        {"messages": [{"role": "user", "content": f"say {i}"}, {"role": "assistant", **row}]}
        for i, row in enumerate({"content": row["text"]} for row in rows)
    ]
    write_rows(pico / "beta.jsonl", talks)
    file = pico / "base" / "tokenizer_config.json"
    template = {"chat_template": FAMILIES["zephyr"].template(marked=False)}
    file.write_text(json.dumps(json.loads(file.read_text()) | template | config))


def test_conversations_are_recognised_rendered_and_their_answers_alone_are_scored(
    pico: Path,
) -> None:
    talk_in(pico)
    inputs = inputs_of(pico)
    assert inputs.source("beta").records == "chat"
    assert inputs.source("alpha").records == "text"
    corpus = inputs.corpus("beta")
    facts = corpus.facts
    assert facts.n_supervised_train_tokens is not None
    assert 0 < facts.n_supervised_train_tokens < facts.n_train_tokens
    tokenizer = inputs.tokenizer.tokenizer
    rows = corpus.heldout_rows(64, limit=4)
    for ids, scored, length in zip(rows.tokens, rows.scored, rows.lengths, strict=True):
        read, learned = (
            tokenizer.decode(ids[:length][scored[:length] == is_scored])
            for is_scored in (False, True)
        )
        assert read.startswith("<|user|>\nsay ")
        assert read.endswith("<|assistant|>\n")
        assert learned.endswith("<|end|>\n")
        assert not learned.startswith("<")


def test_another_template_or_part_is_another_corpus(pico: Path) -> None:
    talk_in(pico)
    usual = inputs_of(pico).corpus_key("beta")
    learned = inputs_of(pico, ("{files: beta.jsonl}", "{files: beta.jsonl, learn: all}"))
    assert learned.corpus_key("beta") != usual
    (pico / "chat.jinja").write_text(FAMILIES["chatml"].template(marked=True))
    other = inputs_of(pico, ("base: base", "base: base\nchat_template: chat.jinja"))
    assert other.corpus_key("beta") != usual
    assert other.corpus_key("alpha") == inputs_of(pico).corpus_key("alpha")


def test_conversations_need_a_template(pico: Path) -> None:
    talk_in(pico, chat_template=None)
    [problem] = inputs_of(pico).problems()
    assert "the tokenizer has no chat template, which conversations need" in problem


def test_a_template_that_no_row_needs_is_refused(pico: Path) -> None:
    (pico / "chat.jinja").write_text("{{ messages }}")
    inputs = inputs_of(pico, ("base: base", "base: base\nchat_template: chat.jinja"))
    [problem] = inputs.problems()
    assert problem.startswith("`chat_template` has no effect, because no domain or set holds conv")
