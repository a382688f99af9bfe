from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.evaluation.likelihood.models import VOCABULARY, tiny_model
from tests.tiny_models import VOCABULARY as FEW
from tests.tiny_models import save_base

from mixwise.data.streams import NOT_LEARNED, TokenStream
from mixwise.evaluation.likelihood.packing import find_mixing
from mixwise.models.loading import load_module

LENGTHS = (7, 1, 5, 11)
LENGTH = sum(LENGTHS)


@pytest.fixture
def row() -> np.ndarray:
    return np.random.default_rng(0).integers(1, VOCABULARY, LENGTH)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "qwen2", "mistral", "gemma3"])
def test_models_that_ask_for_a_mask_keep_documents_apart(kind: str, row: np.ndarray) -> None:
    assert find_mixing(tiny_model(kind), row) is None


def test_a_model_without_positions_is_noticed(row: np.ndarray) -> None:
    for kind in ("bloom", "mamba"):
        reason = find_mixing(tiny_model(kind), row)
        assert reason is not None, kind


def test_a_model_that_passes_over_positions_is_noticed(row: np.ndarray) -> None:
    model = tiny_model("llama")
    forward = model.forward

    def without(position_ids: Any = None, **given: Any) -> Any:
        return forward(**given)

    model.forward = without
    assert "moves the second by" in str(find_mixing(model, row))


def test_a_model_that_counts_positions_on_is_noticed(row: np.ndarray) -> None:
    model = tiny_model("gpt2")
    inner, seen = model.transformer.wpe.forward, []

    def counted_on(positions: torch.Tensor) -> torch.Tensor:
        seen.append(positions)
        return inner(torch.arange(positions.shape[1])[None])

    model.transformer.wpe.forward = counted_on
    assert "off its score alone" in str(find_mixing(model, row))
    assert seen


@pytest.mark.parametrize("kind", ["llama tied", "gpt2", "qwen2"])
def test_the_loss_of_a_packed_row_is_that_of_its_documents(kind: str, tmp_path: Path) -> None:
    model = load_module(save_base(kind, tmp_path / "base").folder).double().eval()
    ids = np.random.default_rng(1).integers(1, FEW, 2 * LENGTH)
    ids.astype(np.uint32).tofile(tmp_path / "train.u32")
    np.save(tmp_path / "train_lengths.npy", np.array(LENGTHS * 2))
    stream = TokenStream(ids=tmp_path / "train.u32", lengths=tmp_path / "train_lengths.npy")
    rows = stream.rows(LENGTH, None)
    packed, alone = 0.0, 0.0
    with torch.inference_mode():
        for row in range(2):
            read, labels = rows.read(row)
            batch = {"input_ids": read, "labels": labels, "position_ids": rows.positions(row)}
            given = {key: torch.from_numpy(values[None]) for key, values in batch.items()}
            loss = model(**given, use_cache=False).loss
            packed += float(loss) * int((labels != NOT_LEARNED).sum())
            for document in np.split(read, np.cumsum(LENGTHS)[:-1]):
                if len(document) > 1:
                    one = torch.from_numpy(document[None])
                    alone += float(model(input_ids=one, labels=one).loss) * (len(document) - 1)
    assert packed == pytest.approx(alone, rel=1e-6)  # the loss is taken in float32
