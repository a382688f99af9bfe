from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.data.corpora import END, ByteTokenizer, CharacterTokenizer, prepare, write_pairs

from mixwise.data.corpus import Corpus
from mixwise.data.pieces import supervised_tokens
from mixwise.data.token_cache import load_cached
from mixwise.data.tokenising import CorpusFacts, Sides, write_corpus
from mixwise.data.tokenizer import BaseTokenizer
from mixwise.errors import DataError
from mixwise.records.record import Document


@pytest.fixture(scope="module")
def tokenizer(pico_base: Path) -> BaseTokenizer:
    return BaseTokenizer(pico_base)


@given(st.text("abé€😀 \n1", max_size=12), st.text("abé€😀 \n1", min_size=1, max_size=12))
def test_a_token_is_learned_when_it_holds_a_character_of_the_completion(
    tokenizer: BaseTokenizer, prompt: str, completion: str
) -> None:
    """Byte-level tokens: decoding those that are read only gives a beginning of the prompt."""
    text = prompt + completion
    [(ids, sizes)] = tokenizer.encode([text])
    learned = supervised_tokens(text, sizes, [(len(prompt), len(text))])
    assert learned[-1]
    assert (np.diff(learned.astype(int)) >= 0).all(), "first what is read, then what is learned"
    read_only = [token for token, is_learned in zip(ids, learned, strict=True) if not is_learned]
    assert prompt.startswith(tokenizer.tokenizer.decode(read_only))
    first = int(learned.argmax())
    reached = np.cumsum(sizes)
    assert reached[first] > len(prompt.encode()) or sizes[first] == 0
    assert first == 0 or reached[first - 1] <= len(prompt.encode())


def test_the_rest_of_a_split_character_is_learned_as_its_beginning_is() -> None:
    text = "a😀b"
    assert supervised_tokens(text, [1, 4, 0, 0, 0, 1], [(1, 2)]).tolist() == [
        *[False, True, True, True, True, False]
    ]
    assert supervised_tokens(text, [1, 4, 0, 0, 0, 1], [(2, 3)]).tolist() == [False] * 5 + [True]
    assert supervised_tokens(text, [1, 4, 0, 0, 0, 1], None).all()


def test_pairs_are_one_stream_with_a_mask(tmp_path: Path) -> None:
    write_pairs(tmp_path, ("é", "yes"), ("what", " "), ("", "no"), ("12", "3"))
    corpus = prepare(tmp_path, records="prompt-completion", heldout_fraction=0.4)
    assert corpus.facts.n_empty == 1
    mask_file = corpus.train.mask
    assert mask_file is not None
    ids, mask = np.fromfile(corpus.train.ids, np.uint32), np.fromfile(mask_file, np.uint8)
    assert len(ids) == len(mask) == corpus.facts.n_train_tokens
    assert corpus.facts.n_supervised_train_tokens == mask.sum()
    expected = {"éyes": "é", "no": "", "123": "12"}
    start = 0
    for end in np.flatnonzero(ids == END):
        n_prompt = len(expected[bytes(ids[start:end].tolist()).decode()].encode())
        assert mask[start : end + 1].tolist() == [0] * n_prompt + [1] * (end + 1 - start - n_prompt)
        start = end + 1


def test_a_long_pair_is_tokenised_in_pieces_and_masked_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = [("one two é " * 40, "line\n" * 60), ("x" * 333, "y"), ("z", "0" * 200)]
    write_pairs(tmp_path, *pairs)
    settings = {"records": "prompt-completion", "heldout_fraction": 0.4}
    whole = prepare(tmp_path, CharacterTokenizer(), cache=tmp_path / "whole", **settings)
    monkeypatch.setattr("mixwise.data.pieces._PIECE", 50)
    cut = prepare(tmp_path, CharacterTokenizer(), cache=tmp_path / "cut", **settings)
    for name in ("train.u32", "train_mask.u8", "heldout.u32", "heldout_mask.u8"):
        assert (cut.folder / name).read_bytes() == (whole.folder / name).read_bytes()


def test_heldout_rows_are_the_records_themselves_cut_at_their_beginning(tmp_path: Path) -> None:
    write_pairs(tmp_path, *((f"{i} is", f" n{i}") for i in range(9)), ("p" * 50, "end"))
    corpus = prepare(tmp_path, records="prompt-completion", heldout_fraction=1.0)
    rows = corpus.heldout_rows(10, 100)
    assert len(rows.tokens) == 10
    assert rows.lengths.tolist() == [8] * 9 + [10]
    assert bytes(rows.tokens[0, :7].tolist()) == b"0 is n0"
    assert rows.tokens[0, 7] == END
    assert rows.scored[0].tolist() == [False] * 4 + [True] * 4 + [False] * 2
    assert rows.token_bytes[0].tolist() == [1] * 7 + [0] * 3
    assert bytes(rows.tokens[9, :9].tolist()) == b"ppppppend"
    assert rows.scored[9].tolist() == [False] * 6 + [True] * 4
    assert corpus.n_cut(10) == 1
    assert corpus.heldout_rows(10, 3).lengths.tolist() == [8, 8, 10]
    without = corpus.heldout_rows(10, 100, corpus.document_hashes(heldout=True)[1:])
    assert without.lengths.tolist() == [8]
    with pytest.raises(DataError, match="`math`: no held-out record is left"):
        corpus.heldout_rows(10, 100, corpus.document_hashes(heldout=True))


def test_another_reading_of_the_same_file_is_another_corpus(tmp_path: Path) -> None:
    write_pairs(tmp_path, *((f"{i} is", f" n{i}") for i in range(9)))
    usual = prepare(tmp_path, records="prompt-completion")
    turned = prepare(
        tmp_path,
        records="prompt-completion",
        fields={"prompt": "completion", "completion": "prompt"},
    )
    as_text = prepare(tmp_path, field="completion")
    assert len({usual.key, turned.key, as_text.key}) == 3
    assert as_text.train.mask is None


def test_a_rendered_text_brings_its_own_end_and_begins_with_bos_once(tmp_path: Path) -> None:
    class Begun(ByteTokenizer):
        """Every text begins with the byte 1."""

        start_of_text = 1

        def encode(self, texts: Sequence[str]) -> Iterator[tuple[list[int], list[int]]]:
            for ids, sizes in super().encode(texts):
                yield [1, *ids], [0, *sizes]

    documents = [
        Document("\x01ab;", "d", 1, supervised=((2, 4),), is_rendered=True),
        Document("cd;", "d", 2, supervised=((1, 3),), is_rendered=True),
        Document("ef", "d", 3, supervised=((1, 2),)),
    ]
    sides = Sides(documents, [], is_partly_supervised=True)
    write_corpus(tmp_path / "corpus", sides, Begun(), lambda _: None)
    ids = np.fromfile(tmp_path / "corpus" / "train.u32", dtype=np.uint32).tolist()
    assert ids == [1, *b"ab;", 1, *b"cd;", 1, *b"ef", END]
    mask = np.fromfile(tmp_path / "corpus" / "train_mask.u8", dtype=np.uint8).tolist()
    assert mask == [0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1]


def test_heldout_records_that_learn_nothing_in_their_row_are_left_out(tmp_path: Path) -> None:
    documents = [
        Document("ab" + "c" * 9, "d", 1, supervised=((1, 2),), is_rendered=True),
        Document("ab", "d", 2, supervised=((1, 2),), is_rendered=True),
    ]
    write_corpus(
        tmp_path / "corpus",
        Sides([], documents, is_partly_supervised=True),
        ByteTokenizer(),
        lambda _: None,
    )
    cached = load_cached(tmp_path / "corpus", "d")
    assert cached is not None
    facts = CorpusFacts(**cached["facts"])
    corpus = Corpus("d", "key", tmp_path / "corpus", facts, cached["files"])
    rows = corpus.heldout_rows(8, limit=9)
    assert rows.lengths.tolist() == [2]
    assert corpus.heldout_rows(11, limit=9).lengths.tolist() == [11, 2]


def test_a_document_is_empty_when_nothing_is_learned() -> None:
    assert Document("a b", "f", 1, ((1, 2),)).is_empty
    assert Document("  ", "f", 1).is_empty
    assert not Document("a b", "f", 1, ((0, 1),)).is_empty
    assert ByteTokenizer.end_of_text == END
