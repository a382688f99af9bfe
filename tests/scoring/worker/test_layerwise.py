from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.evaluation.likelihood.models import CONFIGS, VOCABULARY, tiny_model

from mixwise.errors import CheckpointError
from mixwise.evaluation.likelihood.rows import Batch, Row, batch_nats, make_batches
from mixwise.models.checkpoint import open_checkpoint
from mixwise.models.skeleton import Skeleton
from mixwise.scoring.worker.layerwise import enter, leave, pass_through

KINDS = [kind for kind in CONFIGS if kind != "mamba"]


def padded_batch() -> Batch:
    rng = np.random.default_rng(0)
    rows = [Row.ending_in(rng.integers(0, VOCABULARY, n), n // 2) for n in (12, 9, 12)]
    [batch] = make_batches(rows, 3, "cpu")
    return batch


def open_skeleton(kind: str, folder: Path) -> tuple[torch.nn.Module, Skeleton]:
    model = tiny_model(kind)
    model.save_pretrained(folder)
    return model, Skeleton(open_checkpoint(folder))


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_the_pieces_make_the_model(kind: str, tmp_path: Path) -> None:
    model, skeleton = open_skeleton(kind, tmp_path)
    batch = padded_batch()
    tensors = {name: skeleton.live.base_tensor(name) for name in skeleton.live.tensors}
    outer = {name: tensors[name] for name in skeleton.outer}
    with skeleton.filled(outer):
        state = enter(skeleton, batch)
    assert state.in_tuple == (kind == "bloom")
    assert len(state.calls) == len(skeleton.layers)
    for k in range(len(skeleton.layers)):
        state = pass_through(skeleton, k, tensors, state)
    with skeleton.filled(outer):
        nats = leave(skeleton, batch, state)
    torch.testing.assert_close(nats, batch_nats(model, batch), atol=1e-5, rtol=0)
    assert (nats - leave_too_early(skeleton, outer, batch)).abs().max() > 0.01


def leave_too_early(
    skeleton: Skeleton, outer: dict[str, torch.Tensor], batch: Batch
) -> torch.Tensor:
    """A negative control: no layer at all."""
    with skeleton.filled(outer):
        return leave(skeleton, batch, enter(skeleton, batch))


def test_layers_are_themselves_again(tmp_path: Path) -> None:
    model, skeleton = open_skeleton("llama", tmp_path)
    with pytest.raises(RuntimeError, match="meta tensors"):
        enter(skeleton, padded_batch())  # nothing is filled
    skeleton.module.load_state_dict(model.state_dict(), assign=True)
    ids = torch.arange(5)[None]
    with torch.no_grad():
        torch.testing.assert_close(
            skeleton.module(input_ids=ids).logits, model(input_ids=ids).logits
        )


def test_candidates_share_masks_and_angles(tmp_path: Path) -> None:
    _, skeleton = open_skeleton("mistral", tmp_path)
    with (
        torch.no_grad(),
        skeleton.filled({name: skeleton.live.base_tensor(name) for name in skeleton.outer}),
    ):
        first = enter(skeleton, padded_batch())
        second = enter(skeleton, padded_batch(), like=first)
    for mine, other in zip(second.calls, first.calls, strict=True):
        assert mine.options["attention_mask"] is other.options["attention_mask"]
        assert mine.options["position_embeddings"][0] is other.options["position_embeddings"][0]


def test_a_model_that_works_between_its_layers_is_an_error(tmp_path: Path) -> None:
    _, skeleton = open_skeleton("llama", tmp_path)
    decoder = skeleton.module.model

    def forward(input_ids: torch.Tensor, **_: object) -> None:
        state = decoder.embed_tokens(input_ids)
        for layer in decoder.layers:
            state = layer(state) * 2

    decoder.forward = forward
    outer = {name: skeleton.live.base_tensor(name) for name in skeleton.outer}
    with skeleton.filled(outer), pytest.raises(CheckpointError, match="does more between them"):
        enter(skeleton, padded_batch())
