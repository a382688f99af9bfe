"""Domains that are labelled on scales of their own: stars, grades, signs; and a base for them.

    python -m examples.heads.make_data [FOLDER]

The sentences of `examples.sentiment`, whose ratings from −4 to 4 are named otherwise in each
domain: films have stars from 1 to 5, products are poor, mixed or good, newspapers and tweets
negative or positive. The base is that of `examples.sentiment`, which has read the signs of single
words, with a new head: an output for each label of each domain, named `domain/label`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from examples.sentiment.make_data import (
    SOURCES,
    Row,
    fetch,
    make_base,
    read_ratings,
    read_words,
    sign_of,
)

DOMAINS = ("films", "amazon", "newspaper")
TARGET = "tweets"


def stars(rating: float) -> str:
    """Of a film: 1 to 5."""
    return str(1 + sum(rating > limit for limit in (-2.0, -0.7, 0.7, 2.0)))


def grade(rating: float) -> str:
    """Of a product."""
    return "good" if rating > 1 else "poor" if rating < -1 else "mixed"


SCALES: Mapping[str, Callable[[float], str | None]] = {
    "films": stars,
    "amazon": grade,
    "newspaper": sign_of,
    TARGET: sign_of,
}


def main(folder: Path) -> None:
    """Write the sentences, and the base where it is not there."""
    write_study(folder, fetch(folder))


def write_study(folder: Path, root: Path) -> None:
    """Write data and base.

    Args:
        folder: Where they go.
        root: The unpacked source distribution of vaderSentiment.
    """
    rows = {name: list(read_rated(root, name)) for name in SCALES}
    for name, own in rows.items():
        path = folder / "data" / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in own))
        print(f"{path}: {len(own):,} rows, labels {', '.join(labels_of(own))}")
    texts = [row["text"] for own in rows.values() for row in own]
    make_base(folder / "words", list(read_words(root)), texts)
    names = [f"{name}/{label}" for name in DOMAINS for label in labels_of(rows[name])]
    give_heads(folder / "words", folder / "base", names)


def read_rated(root: Path, name: str) -> Iterator[Row]:
    """Sentences of a source and their labels on its own scale, each sentence once."""
    seen = set()
    for _, rating, sentence in read_ratings(root, SOURCES[name]):
        label = SCALES[name](rating)
        if label is not None and sentence not in seen:
            seen.add(sentence)
            yield {"text": sentence, "label": label}


def labels_of(rows: list[Row]) -> list[str]:
    """Labels of a source, in the order of the alphabet."""
    return sorted({row["label"] for row in rows})


def give_heads(body: Path, base: Path, names: list[str]) -> None:
    """Save a classifier's body with a new head; always the same.

    Args:
        body: Folder of the classifier.
        base: Where it goes; left alone where it is there already.
        names: Of the outputs, ``domain/label``, those of a domain beside each other.
    """
    if (base / "model.safetensors").is_file():
        return
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()  # it reports the head that is made anew
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(
        body,
        id2label=dict(enumerate(names)),
        label2id={name: k for k, name in enumerate(names)},
        ignore_mismatched_sizes=True,
    )
    model.save_pretrained(base)
    AutoTokenizer.from_pretrained(body).save_pretrained(base)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
