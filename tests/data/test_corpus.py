import itertools
import json
import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.corpora import END, TEXTS, ByteTokenizer, CharacterTokenizer, prepare, sides, write

from mixwise.data.corpus import Corpus, find_overlap, locate_hash, map_sequences
from mixwise.errors import DataError, MixwiseWarning
from mixwise.progress import Progress
from mixwise.recipe import HubDataset, TextSource


def test_every_document_is_whole_on_one_side_in_the_order_of_the_source(folder: Path) -> None:
    train, heldout = sides(prepare(folder))
    assert (len(train), len(heldout)) == (16, 4)
    assert sorted(train + heldout) == sorted(TEXTS)
    for side in (train, heldout):
        assert side == [text for text in TEXTS if text in side]


def test_counts_add_up(folder: Path) -> None:
    facts = prepare(folder).facts
    train, heldout = sides(prepare(folder))
    assert (facts.n_documents, facts.n_heldout_documents, facts.n_empty) == (20, 4, 0)
    assert facts.n_train_bytes == sum(len(text.encode()) for text in train)
    assert facts.n_train_tokens == facts.n_train_bytes + 16
    assert facts.n_heldout_tokens == sum(len(text.encode()) + 1 for text in heldout)


@given(
    st.lists(st.sampled_from("abcdefghij"), min_size=4, unique=True),
    st.integers(0, 10),
    st.floats(0.01, 0.4),
)
@settings(deadline=None, max_examples=40)
def test_equal_texts_are_on_one_side(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], n_twice: int, fraction: float
) -> None:
    folder = tmp_path_factory.mktemp("equal")
    written = texts + texts[:n_twice]
    write(folder, *written)
    train, heldout = sides(prepare(folder, heldout_fraction=fraction))
    assert not set(train) & set(heldout)
    assert sorted(train + heldout) == sorted(written)
    assert heldout
    assert train


def test_texts_that_differ_in_outer_white_space_are_on_one_side(tmp_path: Path) -> None:
    write(tmp_path, *(space + text for text in TEXTS for space in ("", " ", "\n")))
    train, heldout = sides(prepare(tmp_path))
    assert not {t.strip() for t in train} & {t.strip() for t in heldout}


def test_the_split_does_not_depend_on_the_order_of_documents(folder: Path) -> None:
    _, heldout = sides(prepare(folder))
    write(folder, *reversed(TEXTS))
    assert sorted(sides(prepare(folder))[1]) == sorted(heldout)


def test_a_document_added_moves_few_others(folder: Path) -> None:
    _, before = sides(prepare(folder))
    write(folder, *TEXTS, "one more")
    _, after = sides(prepare(folder))
    assert len(set(before) ^ set(after)) <= 2


def test_the_second_time_nothing_is_tokenised(folder: Path) -> None:
    tokenizer = ByteTokenizer()
    first = prepare(folder, tokenizer)
    assert tokenizer.n_encoded == 20
    again = prepare(folder, tokenizer)
    assert tokenizer.n_encoded == 20
    assert again == first


def test_the_cache_is_found_by_content_and_not_by_name(folder: Path) -> None:
    tokenizer = ByteTokenizer()
    first = prepare(folder, tokenizer)
    (folder / "d.jsonl").rename(folder / "e.jsonl")
    again = prepare(folder, tokenizer, name="other", key="x", source=TextSource(files=("e.jsonl",)))
    assert (again.key, again.name, tokenizer.n_encoded) == (first.key, "other", 20)


def other_tokenizer(folder: Path) -> Corpus:
    return prepare(folder, CharacterTokenizer())


def other_content(folder: Path) -> Corpus:
    write(folder, *TEXTS[:-1], "changed")
    return prepare(folder)


def other_fraction(folder: Path) -> Corpus:
    return prepare(folder, heldout_fraction=0.3)


def other_files(folder: Path) -> Corpus:
    write(folder, "held out", name="h.jsonl")
    return prepare(folder, heldout_files=("h.jsonl",))


def other_reading(folder: Path) -> Corpus:
    return prepare(folder, source=TextSource(files=("d.jsonl",), document_characters=5))


@pytest.mark.parametrize(
    "change", [other_tokenizer, other_content, other_fraction, other_files, other_reading]
)
def test_what_the_tokens_depend_on_changes_the_key(folder: Path, change: Any) -> None:
    first = prepare(folder)
    other = change(folder)
    assert other.key != first.key
    assert other.folder != first.folder


def test_the_order_of_files_changes_the_key(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path, *(f"{name} {i}" for i in range(9)), name=f"{name}.jsonl")
    keys = {
        prepare(tmp_path, source=TextSource(files=files)).key
        for files in (("a.jsonl", "b.jsonl"), ("b.jsonl", "a.jsonl"))
    }
    assert len(keys) == 2


def test_heldout_files_are_the_heldout_side_and_nothing_is_split_off(folder: Path) -> None:
    write(folder, "held out", "and more", name="h.jsonl")
    corpus = prepare(folder, heldout_files=("h.jsonl",))
    assert sides(corpus) == (TEXTS, ["held out", "and more"])
    assert corpus.facts.n_heldout_documents == 2


def test_what_a_folder_of_heldout_files_leaves_out_is_said(folder: Path) -> None:
    (folder / "held").mkdir()
    write(folder / "held", "held out")
    write(folder / "held", "forgotten", name="more.jsnl")
    with pytest.warns(MixwiseWarning, match=r"`domains\.math\.heldout_files.*more\.jsnl: unknown"):
        corpus = prepare(folder, heldout_files=("held",))
    assert corpus.facts.n_heldout_documents == 1


def test_a_changed_heldout_file_changes_the_key(folder: Path) -> None:
    keys = set()
    for text in ("one", "two"):
        write(folder, text, name="h.jsonl")
        keys.add(prepare(folder, heldout_files=("h.jsonl",)).key)
    assert len(keys) == 2


def test_a_missing_heldout_file_is_named_by_its_key(folder: Path) -> None:
    with pytest.raises(DataError, match=r"domains.math.heldout_files.*`h.jsonl` matches no file"):
        prepare(folder, heldout_files=("h.jsonl",))


def test_a_fraction_of_one_holds_out_everything(folder: Path) -> None:
    assert sides(prepare(folder, heldout_fraction=1)) == ([], TEXTS)


def test_sequences_are_the_stream_cut_without_its_rest(folder: Path) -> None:
    corpus = prepare(folder)
    rows = corpus.train_sequences(7)
    stream = np.fromfile(corpus.train.ids, dtype=np.uint32)
    assert rows.shape == (len(stream) // 7, 7)
    assert rows.ravel().tolist() == stream[: rows.size].tolist()
    assert map_sequences(corpus.train.ids, 7).tolist() == rows.tolist()


def test_a_stream_shorter_than_a_sequence_has_none(folder: Path) -> None:
    assert prepare(folder).train_sequences(100_000).shape == (0, 100_000)


def test_heldout_rows_are_evenly_spaced(tmp_path: Path) -> None:
    write(tmp_path, *("".join(random.Random(i).choices("abcdefgh", k=40)) for i in range(20)))
    corpus = prepare(tmp_path)
    every = corpus.heldout_rows(5, 1000)
    five = corpus.heldout_rows(5, 5)
    assert len(five.tokens) == 5
    numbers = [every.tokens.tolist().index(row) for row in five.tokens.tolist()]
    assert numbers[0] == 0
    assert numbers[-1] == len(every.tokens) - 1
    assert max(np.diff(numbers)) - min(np.diff(numbers)) <= 1
    assert five.tokens.dtype == five.token_bytes.dtype == np.int64


def test_the_bytes_of_heldout_tokens_add_up_to_the_text(folder: Path) -> None:
    corpus = prepare(folder, CharacterTokenizer())
    rows = corpus.heldout_rows(1, 10**6)
    heldout = [text for text in TEXTS if text not in documents_of_characters(corpus)]
    assert rows.token_bytes.sum() == sum(len(text.encode()) for text in heldout)
    assert (rows.token_bytes[rows.tokens == END] == 0).all()
    assert rows.token_bytes.max() == 2


def documents_of_characters(corpus: Corpus) -> list[str]:
    ids = np.fromfile(corpus.train.ids, dtype=np.uint32)
    text = "".join("\0" if i == END else chr(i) for i in ids)
    return text.split("\0")[:-1]


def test_too_few_heldout_tokens_are_told(folder: Path) -> None:
    with pytest.raises(DataError, match=r"`math`: .* held-out tokens do not fill one sequence of"):
        prepare(folder).heldout_rows(100_000, 1)


def test_overlapping_texts_are_found_located_and_dropped(folder: Path) -> None:
    corpus = prepare(folder)
    _, heldout = sides(corpus)
    write(folder, *(f"other {i}" for i in range(8)), heldout[1], name="other.jsonl")
    source = TextSource(files=("other.jsonl",))
    write(folder, "held out", name="h.jsonl")
    other = prepare(folder, source=source, heldout_files=("h.jsonl",))
    overlap = find_overlap(corpus, other)
    assert len(overlap) == 1
    place = locate_hash(source, folder, "domains.other", int(overlap[0]))
    assert place == f"{folder / 'other.jsonl'}:9"
    kept = corpus.heldout_rows(1, 10**6, without=overlap)
    assert bytes(i for i in kept.tokens.ravel() if i != END).decode() == "".join(
        text for text in heldout if text != heldout[1]
    )
    assert kept.token_bytes.sum() == sum(len(t.encode()) for t in heldout if t != heldout[1])


def test_one_split_has_no_overlap_with_itself(folder: Path) -> None:
    corpus = prepare(folder)
    assert len(find_overlap(corpus, corpus)) == 0


def test_a_hash_that_is_nowhere_means_the_file_changed(folder: Path) -> None:
    with pytest.raises(DataError, match="`k` changed while it was read: run the command again"):
        locate_hash(TextSource(files=("d.jsonl",)), folder, "k", 12345)


def test_empty_documents_are_left_out_and_counted(tmp_path: Path) -> None:
    write(tmp_path, " ", *TEXTS, "", "\n\t")
    corpus = prepare(tmp_path)
    assert (corpus.facts.n_empty, corpus.facts.n_documents) == (3, 20)
    assert sorted(itertools.chain(*sides(corpus))) == sorted(TEXTS)


def test_a_source_of_empty_documents_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "", "  ")
    with pytest.raises(DataError, match=r"`domains.math`: `math` holds no text: every document is"):
        prepare(tmp_path)


@pytest.mark.parametrize("texts", [["one"], ["one", "one", "one"]])
def test_too_few_documents_to_hold_some_out_are_told(tmp_path: Path, texts: list[str]) -> None:
    write(tmp_path, *texts)
    with pytest.raises(DataError, match=r"has 1 different document\(s\), too few .*heldout_files"):
        prepare(tmp_path)


def test_two_documents_make_one_of_each_side(tmp_path: Path) -> None:
    write(tmp_path, "one", "two")
    train, heldout = sides(prepare(tmp_path))
    assert sorted([*train, *heldout]) == ["one", "two"]
    assert len(train) == 1


def test_half_a_character_is_an_error_that_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text('{"text": "a"}\n{"text": "b"}\n{"text": "cut \\ud83d"}\n')
    with pytest.raises(DataError, match=r"d\.jsonl:3: "):
        prepare(tmp_path)


def test_progress_reaches_its_total(folder: Path) -> None:
    told: list[Progress] = []
    prepare(folder, on_progress=told.append)
    assert told[-1] == Progress("tokenising math", 20, 20)
    assert [p.done for p in told] == sorted(p.done for p in told)


def test_errors_of_the_source_come_through(folder: Path) -> None:
    (folder / "d.jsonl").write_text('{"text": "a"}\n{"text"\n')
    with pytest.raises(DataError, match=re.escape("d.jsonl:2: broken JSON")):
        prepare(folder)
    assert not (folder / "cache").exists()


class BeginningTokenizer(ByteTokenizer):
    """Begins every text with a token of its own, as one with BOS does."""

    fingerprint = "bytes with a beginning"
    start_of_text = 1

    def encode(self, texts: Sequence[str]) -> Iterator[tuple[list[int], list[int]]]:
        for ids, sizes in super().encode(texts):
            yield [1, *ids], [0, *sizes]


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # `datasets` leaves its files open
def test_datasets_of_one_name_are_told_apart_by_their_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    source = TextSource(hub=HubDataset(dataset="ds"))
    keys = []
    for project, word in (("one", "a"), ("two", "b"), ("three", "a")):
        (tmp_path / project / "ds").mkdir(parents=True)
        write(tmp_path / project / "ds", *(f"{word} {k}" for k in range(10)), name="train.jsonl")
        monkeypatch.chdir(tmp_path / project)
        keys.append(prepare(tmp_path / project, source=source).key)
    assert keys[0] != keys[1]
    assert keys[0] == keys[2]  # it is the content that counts
    write(tmp_path / "three" / "ds", *(f"edited {k}" for k in range(10)), name="train.jsonl")
    assert prepare(tmp_path / "three", source=source).key not in keys


@pytest.mark.parametrize("kind", [ByteTokenizer, BeginningTokenizer])
def test_a_long_text_is_tokenised_in_pieces_and_stays_one_document(
    tmp_path: Path, kind: type[ByteTokenizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["one two é " * 40, "line\n" * 60, "x" * 333, " ", *TEXTS]
    write(tmp_path, *texts)
    whole = prepare(tmp_path, kind(), cache=tmp_path / "whole")
    monkeypatch.setattr("mixwise.data.pieces._PIECE", 50)
    tokenizer = kind()
    cut = prepare(tmp_path, tokenizer, cache=tmp_path / "cut")
    assert tokenizer.n_encoded > len(texts) + 10
    assert cut.facts == whole.facts
    names = ("train.u32", "heldout.u32", "heldout_bytes.u32", "train_hashes.npy")
    for name in (*names, "heldout_hashes.npy", "train_lengths.npy", "heldout_lengths.npy"):
        assert (cut.folder / name).read_bytes() == (whole.folder / name).read_bytes(), name


def test_one_file_can_be_several_corpora(tmp_path: Path) -> None:
    rows = [{"text": f"{name} {i}", "source": name} for i in range(9) for name in ("a", "b")]
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    first, second = (prepare(tmp_path, where={"source": name}) for name in ("a", "b"))
    assert first.key != second.key
    for corpus, name in ((first, "a"), (second, "b")):
        train, heldout = sides(corpus)
        assert sorted(train + heldout) == [f"{name} {i}" for i in range(9)]
    rule = r"`domains.math.where`: no row has source: c, or all that have it are empty: correct it"
    with pytest.raises(DataError, match=rule):
        prepare(tmp_path, where={"source": "c"})


def test_where_documents_do_not_see_each_other_heldout_rows_are_documents(folder: Path) -> None:
    plain = prepare(folder)
    apart = prepare(folder, document_masking=True)
    assert (apart.key, apart.files) == (plain.key, plain.files)
    assert plain.train.lengths is None
    assert apart.train.lengths is not None
    assert apart.train.content_hash.startswith(plain.train.content_hash)
    rows = apart.heldout_rows(64, 100)
    texts = sides(apart)[1]
    lengths = rows.lengths.tolist()
    read = [row[: n - 1].tolist() for row, n in zip(rows.tokens, lengths, strict=True)]
    assert [bytes(ids).decode() for ids in read] == texts
    assert rows.token_bytes.sum(axis=1).tolist() == [len(text.encode()) for text in texts]
    assert rows.scored.sum(axis=1).tolist() == (rows.lengths - 1).tolist()
    assert apart.n_cut(8) == 4
    short = apart.heldout_rows(8, 100)
    assert short.lengths.tolist() == [8] * 4
    assert plain.n_cut(8) == 0
