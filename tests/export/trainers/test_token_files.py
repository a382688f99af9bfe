"""Megatron, NeMo and OLMo-core read tokens, so that their weights are the shares themselves."""

from pathlib import Path

import pytest
import yaml
from tests.export.studies import hand, handed

from mixwise.errors import RecipeError
from mixwise.export.trainers.megatron import MEGATRON
from mixwise.export.trainers.nemo import NEMO
from mixwise.export.trainers.olmo_core import OLMO_CORE

MIXTURE = hand(
    handed("a", 0.75, n_rows=40, mean=5, horizon=1024),
    handed("b", 0.25, n_rows=100, mean=100, horizon=1024, fields={"text": "body"}),
    horizon=1024,
)


def test_megatron_is_told_shares_samples_and_how_tokens_are_made() -> None:
    text = "\n".join(MEGATRON.render(MIXTURE, Path("x.sh")).lines)
    assert "0.75000000 a_text_document\n    0.25000000 b_body_document" in text
    assert "--train-samples 64" in text
    assert "--input /data/b.jsonl --json-keys body --output-prefix b --append-eod" in text


def test_nemo_is_told_the_same_weights_for_the_loss() -> None:
    content = yaml.safe_load("\n".join(NEMO.render(MIXTURE, Path("x.yaml")).lines))
    assert content["dataset"]["paths"] == ["0.75", "a_text_document", "0.25", "b_body_document"]
    first, _ = content["domain_mixture"]["domains"]
    assert first["sampling_weight"] == first["objective_weight"] == 0.75
    alone = hand(handed("a", 1.0, n_rows=40, mean=5))
    assert "domain_mixture" not in yaml.safe_load("\n".join(NEMO.render(alone, Path("x")).lines))


def test_nemos_own_name_is_no_domain_of_several() -> None:
    halves = [handed(name, 0.5, n_rows=40, mean=5) for name in ("a", "weighted")]
    with pytest.raises(RecipeError, match=r"`domains.weighted`: NeMo .* rename the domain"):
        NEMO.render(hand(*halves), Path("x.yaml"))
    NEMO.render(hand(handed("weighted", 1.0, n_rows=40, mean=5)), Path("x.yaml"))


def test_olmo_core_may_repeat_what_the_mixture_repeats() -> None:
    content = yaml.safe_load("\n".join(OLMO_CORE.render(MIXTURE, Path("x.yaml")).lines))
    first, second = content["source_list"]["sources"]
    assert first["target_ratio"] == 0.75
    assert first["max_repetition_ratio"] == 3.92  # 768 tokens of 200, and 2 % more
    assert second["max_repetition_ratio"] == 1.0
    assert (content["requested_tokens"], content["global_batch_size"]) == (1024, 64)
