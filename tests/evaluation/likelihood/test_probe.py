from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tests.evaluation.likelihood.models import CONFIGS, VOCABULARY, tiny_model
from torch import nn
from transformers import AutoModelForCausalLM, PretrainedConfig

from mixwise.evaluation.likelihood.choice import ChoiceSet, TokenisedChoice
from mixwise.evaluation.likelihood.probe import (
    Leak,
    find_difference,
    find_leak,
    find_not_finite,
    find_not_finite_numbers,
    longest_read,
    reading_failure,
)
from mixwise.evaluation.suite import EvaluationSuite, PreparedSuite

SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 64,
}
XLM = {"vocab_size": VOCABULARY, "emb_dim": 16, "n_layers": 2, "n_heads": 2}
ENCODERS: Mapping[str, Callable[[], PretrainedConfig]] = {
    "bert": partial(transformers.BertConfig, **SIZES),
    "roberta": partial(transformers.RobertaConfig, **SIZES),
    "electra": partial(transformers.ElectraConfig, **SIZES, embedding_size=16),
    "xlm": partial(transformers.XLMConfig, **XLM, max_position_embeddings=64),
    "xlnet": partial(
        transformers.XLNetConfig, vocab_size=VOCABULARY, d_model=16, n_layer=2, n_head=2, d_inner=32
    ),
}
DECODERS: Mapping[str, Callable[[], PretrainedConfig]] = {
    "bert": partial(transformers.BertConfig, **SIZES, is_decoder=True),
    "roberta": partial(transformers.RobertaConfig, **SIZES, is_decoder=True),
    "xlm": partial(transformers.XLMConfig, **XLM, max_position_embeddings=64, causal=True),
    "mixtral": partial(
        transformers.MixtralConfig, **SIZES, num_local_experts=4, num_key_value_heads=1
    ),
    "mpt": partial(
        transformers.MptConfig,
        vocab_size=VOCABULARY,
        d_model=16,
        n_heads=2,
        n_layers=2,
        max_seq_len=64,
    ),
    "rwkv": partial(
        transformers.RwkvConfig, vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=2
    ),
    "mamba2": partial(
        transformers.Mamba2Config,
        vocab_size=VOCABULARY,
        hidden_size=16,
        num_hidden_layers=2,
        num_heads=2,
        head_dim=16,
        state_size=8,
        n_groups=1,
        chunk_size=8,
    ),
    "llama4": partial(
        transformers.Llama4TextConfig,
        **SIZES,
        intermediate_size_mlp=32,
        num_key_value_heads=1,
        num_local_experts=2,
        attention_chunk_size=8,
        head_dim=8,
        pad_token_id=None,
    ),
    "gemma2": partial(
        transformers.Gemma2Config, **SIZES, num_key_value_heads=1, head_dim=8, sliding_window=5
    ),
}


def build(config: PretrainedConfig) -> Any:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config).eval()


def longrope() -> Any:
    rope = {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "short_factor": [1.0] * 4,
        "long_factor": [4.0] * 4,
        "original_max_position_embeddings": 16,
    }
    config = transformers.Phi3Config(
        **SIZES,
        num_key_value_heads=1,
        rope_parameters=rope,
        original_max_position_embeddings=16,
        eos_token_id=0,
        pad_token_id=None,
    )
    model = build(config)
    with torch.no_grad():  # far from uniform, so that angles tell
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape))
    return model


def row(length: int = 32) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.random.default_rng(1).integers(5, VOCABULARY, length)


def choices(*lengths: int) -> ChoiceSet:
    rng = np.random.default_rng(2)
    return ChoiceSet(
        "quiz",
        tuple(
            tuple(
                TokenisedChoice(tuple(rng.integers(5, VOCABULARY, n).tolist()), 3, 7)
                for n in (length, length + 1)
            )
            for length in lengths
        ),
        tuple(0 for _ in lengths),
    )


@pytest.mark.parametrize("kind", sorted(ENCODERS))
def test_an_encoder_leaks_even_untrained(kind: str) -> None:
    leak = find_leak(build(ENCODERS[kind]()), row())
    assert leak is not None
    assert leak.moved < leak.changed


@pytest.mark.parametrize("kind", sorted(DECODERS))
def test_an_untrained_decoder_does_not_leak(kind: str) -> None:
    assert find_leak(build(DECODERS[kind]()), row()) is None


@pytest.mark.parametrize("kind", sorted(CONFIGS))
def test_decoders_pass_every_probe(kind: str) -> None:
    model = tiny_model(kind)
    assert find_not_finite(dict(model.named_parameters())) is None
    assert reading_failure(model, row(100)) is None
    assert find_leak(model, row(100)) is None
    suite = EvaluationSuite((choices(8, 20, 33, 60),), 5)
    assert find_difference(model, PreparedSuite.of(suite, model), suite.sets[0]) is None


class _Toy(nn.Module):
    """Predicts from the average of the tokens that it sees."""

    def __init__(self, sees: Callable[[int, int, int], bool]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(VOCABULARY, 8)
        self.head = nn.Linear(8, VOCABULARY)
        self._sees = sees

    def get_input_embeddings(self) -> nn.Embedding:
        return self.table

    def forward(self, input_ids: Any, **_: Any) -> Any:
        n = input_ids.shape[1]
        mask = torch.tensor([[float(self._sees(i, j, n)) for j in range(n)] for i in range(n)])
        hidden = mask @ self.table(input_ids)
        return transformers.modeling_outputs.CausalLMOutput(logits=self.head(hidden))


@pytest.mark.parametrize(
    "sees",
    [
        pytest.param(lambda i, j, n: j <= i + 1, id="one token ahead"),
        pytest.param(lambda i, j, n: j <= max(i, 4), id="a prefix"),
        pytest.param(lambda i, j, n: j <= i or j == n - 1, id="the last token"),
    ],
)
def test_every_kind_of_look_ahead_is_found(sees: Callable[[int, int, int], bool]) -> None:
    leak = find_leak(_Toy(sees), row())
    assert leak is not None
    assert leak.nats > 0.1


def test_a_row_of_one_token_repeated_tells_as_well() -> None:
    ids = np.full(16, 7)
    assert isinstance(find_leak(_Toy(lambda i, j, n: True), ids), Leak)
    assert find_leak(_Toy(lambda i, j, n: j <= i), ids) is None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_the_first_tensor_that_is_not_finite_is_named(value: float) -> None:
    tensors = {"a": torch.ones(3), "b": torch.ones(2, 2), "c": torch.full((2,), value)}
    assert find_not_finite(tensors) == "c"
    tensors["b"][1, 0] = value
    assert find_not_finite(tensors) == "b"
    assert find_not_finite({"none": torch.empty(0), "whole": torch.tensor([2**62])}) is None


def test_numbers_of_a_configuration_are_named_nan_first() -> None:
    values = {"limit": [0.0, float("inf")], "rope": {"theta": float("nan")}, "n": 3, "eps": 1e-6}
    assert find_not_finite_numbers(values) == ("rope.theta = nan", "limit.1 = inf")


@pytest.mark.parametrize(
    ("kind", "limit"), [("mpt", 64), ("roberta", 62), ("bert", 64), ("xlm", 64)]
)
def test_the_longest_row_is_found_by_reading(kind: str, limit: int) -> None:
    model = build(DECODERS[kind]())
    assert reading_failure(model, row(limit)) is None
    assert reading_failure(model, row(limit + 1)) is not None
    assert longest_read(model, row(200)) == limit


def test_a_model_without_a_limit_reads_on() -> None:
    assert reading_failure(tiny_model("bloom"), row(3000)) is None


def test_a_table_says_how_long_it_is() -> None:
    failure = reading_failure(tiny_model("gpt2"), row(200))
    assert failure == "position or token 199 in a table of 128 rows"


def test_predictions_that_are_not_finite_are_no_reading() -> None:
    model = tiny_model("llama")
    model.model.norm.variance_epsilon = float("nan")
    assert reading_failure(model, row(8)) == "predictions that are not finite"
    assert longest_read(model, row(8)) == 0


def test_lack_of_memory_is_no_limit_of_the_model() -> None:
    class Full(_Toy):
        def forward(self, input_ids: Any, **_: Any) -> Any:
            raise torch.OutOfMemoryError("no room")

    with pytest.raises(torch.OutOfMemoryError, match="no room"):
        reading_failure(Full(lambda i, j, n: True), row())


def test_angles_by_the_longest_row_are_found_and_batches_of_one_regime_cure_them() -> None:
    model = longrope()
    quiz = choices(8, 10, 12, 20, 40)
    mixed = EvaluationSuite((quiz,), 10)
    found = find_difference(model, PreparedSuite.of(mixed, model), quiz)
    assert found is not None
    assert found.n_tokens <= 16 < found.longest
    assert found.n_rows == 10
    apart = EvaluationSuite((quiz,), 10, (16,))
    assert find_difference(model, PreparedSuite.of(apart, model), quiz) is None
    alone = EvaluationSuite((quiz,), 1).evaluate(model)
    for one, other in zip(alone, apart.evaluate(model), strict=True):
        np.testing.assert_allclose(one.examples, other.examples, rtol=1e-4)


def test_a_model_that_reads_the_neighbours_is_found_and_one_row_at_a_time_cures_it() -> None:
    class Sociable(_Toy):
        def forward(self, input_ids: Any, **_: Any) -> Any:
            output = super().forward(input_ids)
            output.logits = output.logits * len(input_ids)
            return output

    model, quiz = Sociable(lambda i, j, n: j <= i), choices(8, 8)
    found = find_difference(model, PreparedSuite(EvaluationSuite((quiz,), 4), "cpu"), quiz)
    assert found is not None
    assert found.n_rows == 4
    single = PreparedSuite(EvaluationSuite((quiz,), 1), "cpu")
    assert find_difference(model, single, quiz) is None
