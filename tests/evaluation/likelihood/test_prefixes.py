from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
import transformers
from tests.evaluation.likelihood.models import CONFIGS, VOCABULARY, tiny_model

from mixwise.evaluation.likelihood.prefixes import (
    SharedBatch,
    share_prefixes,
    shared_nats,
    why_unshared,
)
from mixwise.evaluation.likelihood.rows import Indices, Row, batch_nats, make_batches
from mixwise.releases import cache_name


def quiz(
    prompts: list[int], n_choices: list[int], rng: np.random.Generator
) -> tuple[list[Row], Indices]:
    """Questions with prompts of these lengths, choices of one to six tokens."""
    rows, examples = [], []
    for example, (n_prompt, n) in enumerate(zip(prompts, n_choices, strict=True)):
        prompt = rng.integers(0, VOCABULARY, n_prompt)
        for _ in range(n):
            choice = rng.integers(0, VOCABULARY, rng.integers(1, 7))
            rows.append(Row.ending_in(np.concatenate([prompt, choice]), len(choice)))
            examples.append(example)
    return rows, np.array(examples)


def nats_of_shared(model: torch.nn.Module, shared: tuple[SharedBatch, ...]) -> dict[int, float]:
    with torch.inference_mode():
        return {
            int(i): float(nats)
            for batch in shared
            for i, nats in zip(batch.rest.rows, shared_nats(model, batch), strict=True)
        }


def row(ids: list[int], n_scored: int) -> Row:
    return Row.ending_in(np.array(ids), n_scored)


def test_one_question_by_hand() -> None:
    rows = [
        row([1, 2, 3, 4, 5], 1),
        row([1, 2, 3, 4, 6, 7], 2),
    ]
    [shared] = share_prefixes(rows, np.array([0, 0]), 8, "cpu")
    assert shared.prefixes.tolist() == [[1, 2, 3]]
    assert shared.question_of.tolist() == [0, 0]
    assert shared.rest.ids.tolist() == [[4, 5, 0], [4, 6, 7]]
    assert shared.rest.attention_mask is not None
    assert shared.rest.attention_mask.tolist() == [[1, 1, 1, 1, 1, 0], [1] * 6]
    assert shared.n_tokens == 3 + 2 + 3


def test_questions_of_a_group_share_as_much_as_the_shortest_prompt_has() -> None:
    prompts = [list(range(10)), list(range(20, 32))]
    rows = [row([*prompt, 40 + k], 1) for prompt in prompts for k in range(2)]
    [shared] = share_prefixes(rows, np.array([0, 0, 1, 1]), 4, "cpu")
    assert shared.prefixes.tolist() == [prompts[0][:9], prompts[1][:9]]
    assert shared.question_of.tolist() == [0, 0, 1, 1]
    assert shared.n_tokens == 2 * 9 + 2 * 2 + 2 * 4


@pytest.mark.parametrize("batch_sequences", [1, 9])
@pytest.mark.parametrize("kind", [kind for kind in CONFIGS if kind != "mamba"])
def test_equals_the_plain_path(kind: str, batch_sequences: int) -> None:
    """Prompts on both sides of the window of 5, some questions in one group, padded rests."""
    model, rng = tiny_model(kind), np.random.default_rng(0)
    assert why_unshared(model) is None
    rows, examples = quiz([4, 40, 41, 4, 5, 6, 12, 60], [4, 3, 4, 3, 5, 4, 1, 9], rng)
    shared = share_prefixes(rows, examples, batch_sequences, "cpu")
    assert any(len(batch.prefixes) > 1 for batch in shared) == (batch_sequences > 1)
    assert min(batch.prefixes.shape[1] for batch in shared) < 5
    assert any(batch.rest.attention_mask is not None for batch in shared)
    found = nats_of_shared(model, shared)
    with torch.no_grad():
        for i, nats in found.items():
            [alone] = make_batches(rows, 1, "cpu", np.array([i]))
            assert nats == pytest.approx(float(batch_nats(model, alone)), abs=1e-5)
    assert len(found) > 15


def test_each_choice_goes_on_from_its_own_prompt() -> None:
    """A negative control: prompts in the wrong order must be seen."""
    model, rng = tiny_model("llama"), np.random.default_rng(1)
    rows, examples = quiz([30, 30], [2, 2], rng)
    [shared] = share_prefixes(rows, examples, 4, "cpu")
    right = nats_of_shared(model, (shared,))
    wrong = SharedBatch(shared.prefixes, shared.question_of.flip(0), shared.rest)
    assert max(abs(right[i] - nats) for i, nats in nats_of_shared(model, (wrong,)).items()) > 0.01


def test_nothing_is_shared_where_nothing_is_saved() -> None:
    alone = Row.ending_in(np.arange(20), 1)
    short = [row([1, 2, k], 1) for k in range(2)]  # P = 1: the last prompt token stays
    strangers = [Row.ending_in(np.arange(10) + k, 1) for k in range(3)]
    uneven = [
        row([1, 2, 3], 1),
        row([1, *range(9, 30)], 20),
    ]
    rows = [alone, *strangers, *uneven]
    examples = np.array([0, 1, 1, 1, 2, 2])
    assert share_prefixes(rows, examples, 4, "cpu") == ()
    assert [b.prefixes.shape for b in share_prefixes(short, np.array([0, 0]), 4, "cpu")] == [(1, 1)]


def test_random_quizzes_hold_each_row_at_most_once_and_save_tokens() -> None:
    rng = np.random.default_rng(2)
    for _ in range(50):
        n = int(rng.integers(1, 9))
        prompts, choices = rng.integers(1, 30, n).tolist(), rng.integers(1, 6, n).tolist()
        rows, examples = quiz(prompts, choices, rng)
        shared = share_prefixes(rows, examples, int(rng.integers(1, 9)), "cpu")
        taken = [int(i) for batch in shared for i in batch.rest.rows]
        assert len(taken) == len(set(taken))
        assert all(
            batch.n_tokens < sum(len(rows[i].ids) for i in batch.rest.rows) for batch in shared
        )
        for batch in shared:
            for k, i in enumerate(batch.rest.rows):
                prefix = batch.prefixes[batch.question_of[k]].tolist()
                rest = batch.rest.ids[k].tolist()
                whole = rows[i].ids.tolist()
                assert [*prefix, *rest][: len(whole)] == whole


def dynamic_positions() -> torch.nn.Module:
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4},
    )
    model: torch.nn.Module = transformers.AutoModelForCausalLM.from_config(config)
    return model


def bidirectional() -> torch.nn.Module:
    """It takes a cache and keeps its head to positions, but every token sees the later ones."""
    config = transformers.BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        attn_implementation="eager",
    )
    torch.manual_seed(0)
    model: torch.nn.Module = transformers.BertLMHeadModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.5 * torch.randn(parameter.shape))
    return model


def convolutions() -> torch.nn.Module:
    config = transformers.Lfm2Config(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        layer_types=["conv", "full_attention"],
    )
    model: torch.nn.Module = transformers.AutoModelForCausalLM.from_config(config)
    return model


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (tiny_model("mamba"), ""),  # a running state; older releases know no cache for it
        (dynamic_positions(), "the positions of LlamaForCausalLM turn by the rule `dynamic`"),
        (convolutions(), "Lfm2ForCausalLM has layers of the kind `"),
        (bidirectional(), "BertLMHeadModel answers a prompt that was read apart with "),
        (lambda input_ids: None, "function is not transformers' own code"),
    ],
)
def test_models_that_cannot_repeat_their_past_say_why(model: object, reason: str) -> None:
    found = why_unshared(model)
    assert found is not None
    assert found.startswith(reason)


@pytest.mark.parametrize("name", ["cache", "past_key_values"])
def test_either_name_of_the_cache_is_used(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model under the name of each family of releases, and under no other."""
    model, rng = tiny_model("llama"), np.random.default_rng(3)
    own = cache_name(model)
    assert own is not None
    kind, plain = type(model), type(model).forward
    rows, examples = quiz([30, 30], [2, 2], rng)
    shared = share_prefixes(rows, examples, 4, "cpu")
    expected = nats_of_shared(model, shared)
    asked: list[object] = []

    def forward(
        self: object, input_ids: object = None, logits_to_keep: object = 0, **others: object
    ) -> object:
        past = others.pop(name, None)
        asked.append(past)
        return plain(
            self, input_ids=input_ids, logits_to_keep=logits_to_keep, **others, **{own: past}
        )

    renamed = inspect.signature(forward)
    extra = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None)
    known = list(renamed.parameters.values())
    signature = renamed.replace(parameters=[*known[:-1], extra, known[-1]])
    forward.__signature__ = signature  # type: ignore[attr-defined]
    monkeypatch.setattr(kind, "forward", forward)
    assert why_unshared(model) is None
    asked.clear()
    assert nats_of_shared(model, shared) == expected
    assert len(asked) == 2
    assert all(past is not None for past in asked)
