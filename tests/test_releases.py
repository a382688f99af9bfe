"""What the installed transformers offers; the locked one must offer all that mixwise can use."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
import transformers
from packaging.version import Version
from tests.evaluation.likelihood.models import tiny_model

from mixwise.evaluation.likelihood.prefixes import why_unshared
from mixwise.releases import (
    cache_name,
    disable_activation_checkpointing,
    enable_activation_checkpointing,
    release,
    takes,
    takes_masks,
    why_all_positions,
    why_no_cache,
)

LOCK = Path(__file__).parents[1] / "requirements.lock"
DECODERS = ("llama", "qwen2", "mistral", "gemma3", "gpt2")


def is_older_than_the_lock() -> bool:
    found = re.search(r"(?m)^transformers==(\S+)", LOCK.read_text(encoding="utf-8"))
    assert found is not None
    return Version(transformers.__version__) < Version(found[1])


class NoCache(torch.nn.Module):
    """Keeps its head to positions, as far as its arguments tell, and takes no cache."""

    def forward(self, input_ids: torch.Tensor, logits_to_keep: int = 0) -> None: ...


class NoPositions(torch.nn.Module):
    """Takes a cache, and gives all logits."""

    def forward(self, input_ids: torch.Tensor, cache: object = None) -> None: ...


class Old(torch.nn.Module):
    """As models were before 5.24."""

    enabled = False

    def forward(self, input_ids: torch.Tensor, past_key_values: object = None) -> None: ...

    def gradient_checkpointing_enable(self) -> None:
        self.enabled = True

    def gradient_checkpointing_disable(self) -> None:
        self.enabled = False


class New(torch.nn.Module):
    """As models are since."""

    enabled = False

    def forward(self, input_ids: torch.Tensor, cache: object = None) -> None: ...

    def activation_checkpointing_enable(self) -> None:
        self.enabled = True

    def activation_checkpointing_disable(self) -> None:
        self.enabled = False


@pytest.mark.parametrize("kind", DECODERS)
def test_decoders_share_prompts_and_keep_their_head_to_positions(kind: str) -> None:
    """Fails where a release takes one of these away, which would cost time and memory unseen."""
    model = tiny_model(kind)
    assert why_all_positions(model) is None
    assert why_no_cache(model) is None
    assert why_unshared(model) is None


@pytest.mark.skipif(is_older_than_the_lock(), reason="older releases keep to shared positions")
def test_the_locked_release_takes_masks() -> None:
    assert takes_masks()


@pytest.mark.parametrize(("kind", "name"), [(Old, "past_key_values"), (New, "cache")])
def test_names_of_both_families(kind: type[Old | New], name: str) -> None:
    model = kind()
    assert cache_name(model) == name
    assert why_no_cache(model) is None
    enable_activation_checkpointing(model)
    assert model.enabled
    disable_activation_checkpointing(model)
    assert not model.enabled


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (NoCache, "gives NoCache neither `cache` nor `past_key_values`"),
        (NoPositions, "gives NoPositions no `logits_to_keep`"),
    ],
)
def test_a_release_that_takes_a_name_away_is_named(
    kind: type[torch.nn.Module], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kind, "__module__", "transformers.models.llama.modeling_llama")
    assert why_unshared(kind()) == f"transformers {transformers.__version__} {reason}"


def test_functions_stand_for_models() -> None:
    assert takes(lambda input_ids, cache: None, "cache")
    assert not takes(lambda input_ids: None, "cache")
    assert why_all_positions(lambda input_ids: None) == "function is not transformers' own code"


def test_release_is_named() -> None:
    assert release() == f"transformers {transformers.__version__}"
