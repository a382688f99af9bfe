"""Models that the benchmarks measure on, made in a scratch folder and kept there.

Two kinds. *Large*: a random Llama of SmolLM2-135M's shape with experts that are the base plus noise
of a task vector's size; good for time and memory, which do not depend on what a model knows.
*Demo*: experts trained from the demo's base on its data, for few and for many tokens; good for
scores.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
)
from transformers.utils import logging

import mixwise
from mixwise.merging.pool import ExpertPool
from mixwise.merging.task_vectors.encoding import StorePrecision
from mixwise.models.checkpoint import open_checkpoint
from mixwise.models.live_model import LiveModel


@dataclass(frozen=True, slots=True)
class Horizon:
    """How a demo expert is trained."""

    tokens: int
    learning_rate: float


DEMO = Path(mixwise.__file__).parent / "demo"
DEMO_DOMAINS = ("python", "c", "german", "french")
SEQUENCE_TOKENS = 128
HORIZONS = {
    "gentle": Horizon(16_384, learning_rate=1e-4),
    "short": Horizon(16_384, learning_rate=1e-3),
    "long": Horizon(131_072, learning_rate=1e-3),
}
_BATCH = 16
_DELTA_RMS = 2e-4  # of experts after a few steps of Adam
_CONFIG = {
    "vocab_size": 49_152,
    "hidden_size": 576,
    "intermediate_size": 1_536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 2_048,
    "tie_word_embeddings": True,
}


def large_base(scratch: Path) -> Path:
    """A random Llama with the shape of SmolLM2-135M, in float32."""
    folder = scratch / "large" / "base"
    if not (folder / "config.json").is_file():
        torch.manual_seed(0)
        LlamaForCausalLM(LlamaConfig(**_CONFIG)).save_pretrained(folder)
    return folder


def large_experts(scratch: Path, n_experts: int, *, n_files: int | None = None) -> dict[str, Path]:
    """Full experts of the large base: base plus noise.

    Args:
        scratch: Where they are made.
        n_experts: How many.
        n_files: How many of them have files of their own; the others are links to those.

    Returns:
        Folders by domain, ``d0`` to ``dN``.
    """
    base = large_base(scratch)
    folders = {f"d{k}": scratch / "large" / f"d{k}" for k in range(n_experts)}
    for k, folder in enumerate(folders.values()):
        original = k % (n_files or n_experts)
        if folder.exists():
            continue
        if original != k:
            folder.symlink_to(f"d{original}")
            continue
        generator = torch.Generator().manual_seed(k + 1)
        tensors = load_file(base / "model.safetensors")
        for tensor in tensors.values():
            tensor.add_(torch.randn(tensor.shape, generator=generator), alpha=_DELTA_RMS)
        folder.mkdir()
        shutil.copy(base / "config.json", folder)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folders


def demo_experts(scratch: Path, horizon: str) -> dict[str, Path]:
    """Experts of the demo's base, one per domain, trained by AdamW in float32.

    Args:
        scratch: Where they are made.
        horizon: A key of `HORIZONS`.
    """
    folders = {name: scratch / "demo" / horizon / name for name in DEMO_DOMAINS}
    for name, folder in folders.items():
        if not (folder / "config.json").is_file():
            chosen = HORIZONS[horizon]
            sequences = demo_sequences(name, chosen.tokens // SEQUENCE_TOKENS)
            train_on(sequences, chosen.learning_rate).save_pretrained(folder)
    return folders


def train_on(sequences: np.ndarray, learning_rate: float) -> PreTrainedModel:
    """Train the demo's base once over token sequences, shape ``(n, 128)``, by AdamW."""
    logging.disable_progress_bar()
    model = AutoModelForCausalLM.from_pretrained(DEMO / "base", dtype=torch.float32).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.0)
    warmup = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: min(1.0, (step + 1) / 4))
    for batch in torch.from_numpy(sequences).split(_BATCH):
        model(input_ids=batch, labels=batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        warmup.step()
        optimiser.zero_grad(set_to_none=True)
    return model.eval()


def demo_sequences(name: str, n_sequences: int) -> np.ndarray:
    """The first token sequences of a demo data file, texts end to end, shape ``(n, 128)``.

    Starts over where the file is too short.
    """
    with gzip.open(DEMO / "data" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        texts = [str(json.loads(line)["text"]) for line in file]
    tokenizer: Any = AutoTokenizer.from_pretrained(DEMO / "base")
    ids = [token for text in tokenizer(texts)["input_ids"] for token in [*text, 0]]
    return np.resize(np.asarray(ids), (n_sequences, SEQUENCE_TOKENS))


@contextlib.contextmanager
def scratch_folder(given: Path | None) -> Iterator[Path]:
    """The folder that was asked for, or one that is gone when the block ends."""
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="mixwise-benchmark-") as folder:
        yield Path(folder)


def add_scratch_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--scratch`` to a script."""
    parser.add_argument("--scratch", type=Path, help="folder to make models in and keep them")


def large_pool(
    scratch: Path, live: LiveModel, n_experts: int, precision: StorePrecision, *, n_files: int
) -> ExpertPool:
    """A pool of large experts with its store; links stand for all but some of the files."""
    folders = large_experts(scratch, n_experts, n_files=n_files)
    store = scratch / "store" / precision
    opened = {name: open_checkpoint(folder.resolve()) for name, folder in folders.items()}
    originals = dict(list(opened.items())[:n_files])
    ExpertPool(live, originals, folder=store, precision=precision)
    for k, name in enumerate(opened):
        if k >= n_files and not (store / f"{name}.safetensors").exists():
            (store / f"{name}.safetensors").symlink_to(f"d{k % n_files}.safetensors")
    return ExpertPool(live, opened, folder=store, precision=precision)
