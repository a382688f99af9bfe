"""Small classifiers of drawings and of sentences: what they read, networks, runs.

Notation:
    T: steps of a run.  B: rows of a step.  λ: shares of the domains.

Method:
    A run reads T B rows, λᵢ T B of domain i to within one: each domain's rows are shuffled anew
    whenever they are used up, then all are shuffled together. Adam at a constant rate, so that
    every point of an expert's run is the end of a shorter one. Sentences are bags of words and of
    pairs of neighbours, hashed.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from benchmarks.truth.labelled import Kind, Part
from torch import Tensor, nn

from mixwise.mixture import Mixture

BATCH = 32
_BUCKETS = 4096
_MOST_PIECES = 96  # words and pairs of a sentence
_GROUPS = 8


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Labelled rows as tensors.

    Args:
        inputs: Drawings ``(n, 3, 32, 32)`` in [−1, 1], or hashed pieces ``(n, 96)``; 0 is nothing.
        labels: Positions of their labels, ``(n,)``.
    """

    inputs: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Sequence[int]) -> Rows:
        """Some of them."""
        return Rows(self.inputs[rows], self.labels[rows])


def load_rows(folder: Path, kind: Kind, part: Part) -> dict[str, Rows]:
    """A part's rows by domain; labels stand in the order of the alphabet."""
    read = _read_drawings if kind == "images" else _read_sentences
    places = sorted((folder / part).iterdir())
    return {place.stem: read(place) for place in places}


def _read_drawings(place: Path) -> Rows:
    from PIL import Image

    inputs, labels = [], []
    for k, label in enumerate(sorted(place.iterdir())):
        for file in sorted(label.iterdir()):
            inputs.append(np.asarray(Image.open(file), dtype=np.float32).transpose(2, 0, 1))
            labels.append(k)
    return Rows(torch.from_numpy(np.stack(inputs)) / 127.5 - 1, torch.tensor(labels))


def _read_sentences(file: Path) -> Rows:
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    names = sorted({row["label"] for row in rows})
    inputs = torch.zeros(len(rows), _MOST_PIECES, dtype=torch.int64)
    for k, row in enumerate(rows):
        words = re.findall(r"[a-z']+|[^a-z'\s]+", row["text"].lower())
        pieces = [*words, *map(" ".join, pairwise(words))][:_MOST_PIECES]
        found = [1 + zlib.crc32(piece.encode()) % (_BUCKETS - 1) for piece in pieces]
        inputs[k, : len(found)] = torch.tensor(found, dtype=torch.int64)
    return Rows(inputs, torch.tensor([names.index(row["label"]) for row in rows]))


class DrawingNetwork(nn.Module):
    """Patches of 4 × 4 pixels and two convolutions, each normalised in groups of channels.

    Args:
        n_labels: Labels that there are.
        width: What the channels are multiplied by.
    """

    def __init__(self, n_labels: int, width: float = 1.0) -> None:
        super().__init__()
        first, others = int(48 * width), int(64 * width)
        patches = nn.Conv2d(3, first, 4, stride=4)
        convolutions = [nn.Conv2d(n, others, 3, stride=2, padding=1) for n in (first, others)]
        layers: list[nn.Module] = []
        for layer in (patches, *convolutions):
            layers += [layer, nn.GroupNorm(_GROUPS, layer.out_channels), nn.GELU()]
        self.body = nn.Sequential(*layers, nn.Flatten())
        self.head = nn.Linear(others * 4, n_labels)

    def embed(self, inputs: Tensor) -> Tensor:
        """What the head reads, ``(n, 256 · width)``."""
        return self.body(inputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits, ``(n, n_labels)``."""
        return self.head(self.embed(inputs))


class SentenceNetwork(nn.Module):
    """The mean of a sentence's pieces, and one hidden layer.

    Args:
        n_labels: Labels that there are.
        width: What the sizes of pieces and of the layer are multiplied by.
    """

    def __init__(self, n_labels: int, width: float = 1.0) -> None:
        super().__init__()
        read, hidden = int(24 * width), int(48 * width)
        self.pieces = nn.Embedding(_BUCKETS, read, padding_idx=0)
        with torch.no_grad():
            self.pieces.weight *= 0.1  # as large as what a short run moves it by
        self.body = nn.Sequential(nn.LayerNorm(read), nn.Linear(read, hidden), nn.GELU())
        self.head = nn.Linear(hidden, n_labels)

    def embed(self, inputs: Tensor) -> Tensor:
        """What the head reads, ``(n, 48 · width)``."""
        n_pieces = (inputs > 0).sum(dim=1, keepdim=True).clamp(min=1)
        return self.body(self.pieces(inputs).sum(dim=1) / n_pieces)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits, ``(n, n_labels)``."""
        return self.head(self.embed(inputs))


NETWORKS: Mapping[Kind, Callable[[int, float], DrawingNetwork | SentenceNetwork]] = {
    "images": DrawingNetwork,
    "texts": SentenceNetwork,
}


def mixed(train: Mapping[str, Rows], mixture: Mixture, n_rows: int, seed: int) -> Rows:
    """The rows of a run in the order in which they are read."""
    rng = np.random.default_rng(seed)
    ends = np.round(np.cumsum(mixture.array) * n_rows).astype(int).tolist()
    parts = []
    for name, start, end in zip(mixture.domains, [0, *ends[:-1]], ends, strict=True):
        wanted, own = end - start, train[name]
        epochs = [rng.permutation(len(own)) for _ in range(-(-wanted // len(own)))]
        if epochs:
            parts.append(own.take(np.concatenate(epochs)[:wanted]))
    together = Rows(
        torch.cat([part.inputs for part in parts]), torch.cat([part.labels for part in parts])
    )
    return together.take(rng.permutation(len(together)))


def train(
    module: nn.Module, rows: Rows, rate: float, *, points: Collection[int] = ()
) -> Iterator[int]:
    """Train on rows in their order, and stop at some steps to be looked at."""
    optimizer = torch.optim.Adam(module.parameters(), lr=rate)
    for step in range(1, 1 + len(rows) // BATCH):
        chosen = slice((step - 1) * BATCH, step * BATCH)
        loss = nn.functional.cross_entropy(module(rows.inputs[chosen]), rows.labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step in points:
            yield step


@torch.no_grad()
def log_likelihoods(module: nn.Module, rows: Rows) -> Tensor:
    """Of every label, ``(n, n_labels)``, in nats."""
    return torch.log_softmax(module(rows.inputs), dim=1)
