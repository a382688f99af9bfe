"""What the sentiment study trains on: rated sentences of four sources, and a small classifier.

    python -m examples.sentiment.make_data [FOLDER]

The sentences, rated by people from −4 to 4, stand in the source distribution of vaderSentiment
(MIT), which is fetched from the package index. The base is a DistilBERT of 0.4 M parameters that
has read the signs of the words in VADER's lexicon and nothing else.

Source:
    Hutto and Gilbert 2014, VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social
    Media Text.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

VADER = "vaderSentiment==3.3.2"
SOURCES = {
    "tweets": "tweets",
    "amazon": "amazonReviewSnippets",
    "films": "movieReviewSnippets",
    "newspaper": "nytEditorialSnippets",
}
LABELS = ("negative", "positive")
_LEAST_RATING = 0.5
_VOCABULARY, _WIDTH, _LAYERS = 4000, 64, 2
_EPOCHS, _BATCH, _RATE = 6, 64, 1e-3

Row = dict[str, str]


def main(folder: Path) -> None:
    """Write the sentences, and the base where it is not there."""
    root = fetch(folder)
    rows = {name: list(read_rows(root, file)) for name, file in SOURCES.items()}
    for name, own in rows.items():
        path = folder / "data" / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in own))
        print(f"{path}: {len(own):,} rows")
    words = list(read_words(root))
    texts = [row["text"] for own in rows.values() for row in own]
    make_base(folder / "base", words, texts)


def fetch(folder: Path) -> Path:
    """The unpacked source distribution, downloaded where it is not there."""
    wanted = folder / "vader"
    if not wanted.is_dir():
        partial = folder / ".vader"
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--no-binary", ":all:", VADER, "--dest", str(partial)]
        subprocess.run(command, check=True)
        for archive in list(partial.glob("*.tar.gz")):
            _extract(archive, partial)
        [root] = [path for path in partial.iterdir() if path.is_dir()]
        for archive in (root / "additional_resources").glob("*.tar.gz"):
            _extract(archive, root / "additional_resources")
        partial.rename(wanted)
    [root] = [path for path in wanted.iterdir() if path.is_dir()]
    return root


def read_rows(root: Path, file: str) -> Iterator[Row]:
    """Sentences of a source and the signs of their ratings, each sentence once."""
    seen = set()
    for _, rating, sentence in read_ratings(root, file):
        label = sign_of(rating)
        if label is not None and sentence not in seen:
            seen.add(sentence)
            yield {"text": sentence, "label": label}


def read_ratings(root: Path, file: str) -> Iterator[tuple[str, float, str]]:
    """Name, mean rating and text of each sentence of a source."""
    archive = root / "additional_resources" / "hutto_ICWSM_2014"
    text = (archive / f"{file}_GroundTruth.txt").read_text(encoding="utf-8", errors="replace")
    for line in text.splitlines():
        name, rating, sentence = line.split("\t", 2)
        yield name, float(rating), sentence.strip()


def sign_of(rating: float) -> str | None:
    """The label of a rating; None where it is near to zero, where people disagree."""
    return LABELS[rating > 0] if abs(rating) > _LEAST_RATING else None


def read_words(root: Path) -> Iterator[Row]:
    """The words of the lexicon and their signs."""
    lexicon = root / "vaderSentiment" / "vader_lexicon.txt"
    for line in lexicon.read_text(encoding="utf-8").splitlines():
        word, rating, *_ = line.split("\t")
        label = sign_of(float(rating))
        if label is not None:
            yield {"text": word, "label": label}


def make_base(folder: Path, words: Sequence[Row], texts: Sequence[str]) -> None:
    """A small classifier that knows the words, with a tokenizer of its own; always the same.

    Args:
        folder: Where it goes; left alone where it is there already.
        words: Labelled words, which it reads.
        texts: What its tokenizer is made of.
    """
    if (folder / "model.safetensors").is_file():
        return
    import torch
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    tokenizer = _make_tokenizer([*texts, *(row["text"] for row in words)])
    torch.manual_seed(0)
    model = DistilBertForSequenceClassification(
        DistilBertConfig(
            vocab_size=len(tokenizer),
            dim=_WIDTH,
            hidden_dim=4 * _WIDTH,
            n_layers=_LAYERS,
            n_heads=4,
            max_position_embeddings=64,
            pad_token_id=tokenizer.pad_token_id,
            id2label=dict(enumerate(LABELS)),
            label2id={label: k for k, label in enumerate(LABELS)},
        )
    )
    read = tokenizer([row["text"] for row in words], padding=True, return_tensors="pt")
    labels = torch.tensor([LABELS.index(row["label"]) for row in words])
    optimiser = torch.optim.AdamW(model.parameters(), lr=_RATE)
    for _ in range(_EPOCHS):
        for batch in torch.randperm(len(words)).split(_BATCH):
            ids, mask = read["input_ids"][batch], read["attention_mask"][batch]
            model(input_ids=ids, attention_mask=mask, labels=labels[batch]).loss.backward()
            optimiser.step()
            optimiser.zero_grad()
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    print(f"{folder}: {model.num_parameters():,} parameters")


def _make_tokenizer(texts: Sequence[str]) -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep")}
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=_VOCABULARY, special_tokens=list(special.values()), show_progress=False
    )
    made.train_from_iterator(texts, trainer)
    ends = [(token, made.token_to_id(token)) for token in ("[SEP]", "[CLS]")]
    made.post_processor = processors.BertProcessing(*ends)
    return PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=64, **special)


def _extract(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    archive.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
