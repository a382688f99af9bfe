from __future__ import annotations

import pytest
import torch
from tests.families import FAMILIES, Family

from mixwise.errors import CheckpointError
from mixwise.merging.task_vectors.task_vector import DirectTaskVector
from mixwise.models.checkpoint import open_checkpoint


@pytest.mark.parametrize("name", FAMILIES)
def test_base_and_task_vector_make_the_expert(name: str, families: dict[str, Family]) -> None:
    family = families[name]
    live = family.live()
    vector = DirectTaskVector(live, open_checkpoint(family.experts["a"]))
    restored = {key: live.base_tensor(key) + vector.load(key) for key in live.tensors}
    live.write_checkpoint(open_checkpoint(family.experts["a"]))
    for key, tensor in live.tensors.items():
        assert torch.allclose(restored[key], tensor, atol=1e-7)


def test_parts_add_and_multiply_as_the_whole_does(families: dict[str, Family]) -> None:
    live = families["llama"].live()
    vector = DirectTaskVector(live, open_checkpoint(families["llama"].experts["a"]))
    name = "model.embed_tokens.weight"
    name = live.aliases[name]
    delta, gradient = vector.load(name), torch.randn(live.tensors[name].shape)
    assert vector.dot(name, gradient) == pytest.approx(float((delta * gradient).sum()), rel=1e-4)
    tail = gradient.view(-1)[256:]
    total = tail.clone()
    vector.add_to(total, name, -0.5, start=256)
    assert torch.allclose(total, tail - 0.5 * delta.view(-1)[256:])
    assert vector.dot(name, tail, start=256) + vector.dot(
        name, gradient.view(-1)[:256]
    ) == pytest.approx(vector.dot(name, gradient))


def test_experts_have_fingerprints_of_their_own(families: dict[str, Family]) -> None:
    family = families["llama"]
    live = family.live()
    prints = {
        DirectTaskVector(live, open_checkpoint(path)).fingerprint
        for path in family.experts.values()
    }
    assert len(prints) == len(family.experts)


def test_expert_of_another_base_is_refused(families: dict[str, Family]) -> None:
    with pytest.raises(CheckpointError, match="is not part of the base model"):
        DirectTaskVector(families["gpt2"].live(), open_checkpoint(families["llama"].base))
