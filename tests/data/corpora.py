"""Tokenizers of bytes and characters, and small corpora that are made with them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mixwise.data.corpus import Corpus, prepare_corpus
from mixwise.recipe import TextSource

END = 256


class ByteTokenizer:
    """One id per UTF-8 byte; counts the texts that it encodes."""

    fingerprint = "bytes"
    end_of_text = END
    start_of_text: int | None = None

    def __init__(self) -> None:
        self.n_encoded = 0

    def ids(self, texts: Sequence[str]) -> Iterator[list[int]]:
        for ids, _ in self.encode(texts):
            yield ids

    def encode(self, texts: Sequence[str]) -> Iterator[tuple[list[int], list[int]]]:
        for text in texts:
            self.n_encoded += 1
            data = text.encode()
            yield list(data), [1] * len(data)


class CharacterTokenizer(ByteTokenizer):
    """One id per character, so that a token can add several bytes."""

    fingerprint = "characters"

    def encode(self, texts: Sequence[str]) -> Iterator[tuple[list[int], list[int]]]:
        for text in texts:
            self.n_encoded += 1
            yield [min(ord(c), 255) for c in text], [len(c.encode()) for c in text]


def write(folder: Path, *texts: str, name: str = "d.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


def write_pairs(folder: Path, *pairs: tuple[str, str]) -> None:
    rows = [{"prompt": prompt, "completion": completion} for prompt, completion in pairs]
    (folder / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def prepare(folder: Path, tokenizer: Any = None, **changes: Any) -> Corpus:
    of_source = {"records", "field", "fields", "where"}
    source = {name: changes.pop(name) for name in of_source & changes.keys()}
    settings: dict[str, Any] = {
        "name": "math",
        "source": TextSource.model_validate({"files": ["d.jsonl"], **source}),
        "folder": folder,
        "key": "domains.math",
        "tokenizer": tokenizer or ByteTokenizer(),
        "cache": folder / "cache",
        "heldout_fraction": 0.2,
    }
    return prepare_corpus(**(settings | changes))


def documents(stream: Path) -> list[str]:
    """Cut a stream at its end-of-text tokens."""
    ids = np.fromfile(stream, dtype=np.uint32).tolist()
    found: list[str] = []
    while ids:
        end = ids.index(END)
        found.append(bytes(ids[:end]).decode())
        del ids[: end + 1]
    return found


def sides(corpus: Corpus) -> tuple[list[str], list[str]]:
    return documents(corpus.train.ids), documents(corpus.folder / "heldout.u32")


TEXTS = [f"text number {i} é" for i in range(20)]
