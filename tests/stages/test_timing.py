"""Steps that are timed, by a clock that counts what passes through the model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.conftest import write_rows

from mixwise.evaluation.suite import PreparedSuite
from mixwise.models.live_model import LiveModel
from mixwise.recipe import load_recipe
from mixwise.scorer import Part
from mixwise.stages import timing
from mixwise.stages.check import require_inputs
from mixwise.stages.timing import measure_steps
from mixwise.study.inputs import Inputs, Settings

TRAINING = "training: {learning_rate: 3.0e-3, "
SETS = "    quiz: {files: quiz.jsonl, kind: choice}\n"
SAY = "    say: {files: say.jsonl, kind: generation, measures: [f1], max_new_tokens: 4}\n"
NORM = "    norm: {kind: function, function: 'own:norm', measures: {norm: min}}\n"


def inputs_of(pico: Path, *edits: tuple[str, str]) -> Inputs:
    text = (pico / "recipe.yaml").read_text()
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    (pico / "recipe.yaml").write_text(text)
    settings = Settings(pico, pico / "tokens", trust_remote_code=True)
    return Inputs(load_recipe(pico / "recipe.yaml"), settings)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[LiveModel]:
    """Seconds are tokens that pass through the model in the list; without any, a thousand."""
    models: list[LiveModel] = []

    def count(step: Callable[[], object]) -> float:
        passed: list[int] = []

        def note(_: Any, inputs: tuple[Any, ...], given: dict[str, Any], __: Any) -> None:
            mask = given.get("attention_mask")
            n_real = given["input_ids"].numel() if mask is None else int(mask.sum())
            passed.append(n_real)

        handle = models[0].module.register_forward_hook(note, with_kwargs=True)
        step()
        handle.remove()
        return float(sum(passed)) or 1000.0

    monkeypatch.setattr(timing, "_time", count)
    return models


def test_every_set_is_timed_by_its_own_tokens(pico: Path, counted: list[LiveModel]) -> None:
    inputs = inputs_of(pico)
    live = require_inputs(inputs)
    counted.append(live)
    measured = measure_steps(live, inputs, 1)
    suite, prepared = inputs.suite, PreparedSuite.of(inputs.suite, live.module)
    assert measured.evaluation_seconds == pytest.approx(prepared.n_tokens())  # prompts read once
    assert measured.reading_seconds == pytest.approx(suite.n_tokens)
    assert measured.evaluation_seconds < measured.reading_seconds
    read = [chosen.n_tokens for chosen in suite.sets if chosen.name in {"mixed", "alpha"}]
    assert measured.objective_seconds == pytest.approx(sum(read))
    assert measured.step_seconds == 4 * 16 + 1000  # four sequences, and the optimiser's step


@pytest.mark.parametrize(
    "settings",
    [
        "",
        "optimizer: sgd, ",
        "gradient_accumulation_steps: 4, ",
        "gradient_checkpointing: true, ",
        "precision: bfloat16, ",
        "method: lora, lora: {rank: 2}, ",
        "method: lora, gradient_checkpointing: true, gradient_accumulation_steps: 2, ",
    ],
)
def test_a_step_of_any_kind_is_taken_and_leaves_nothing_behind(
    settings: str, pico: Path, counted: list[LiveModel]
) -> None:
    inputs = inputs_of(pico, (TRAINING, TRAINING + settings))
    live = require_inputs(inputs)
    counted.append(live)
    before = {name: tensor.clone() for name, tensor in live.module.state_dict().items()}
    measured = measure_steps(live, inputs, 1)
    assert measured.step_seconds == 4 * 16 + 1000
    after = live.module.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert not live.module.training
    assert not any(getattr(m, "gradient_checkpointing", False) for m in live.module.modules())
    assert all(parameter.grad is None for parameter in live.module.parameters())


def test_answers_are_written_for_a_batch_and_counted_for_all(
    pico: Path, counted: list[LiveModel]
) -> None:
    write_rows(pico / "say.jsonl", [{"prompt": f"one {k}", "answer": "two"} for k in range(8)])
    inputs = inputs_of(pico, (SETS, SETS + SAY))
    live = require_inputs(inputs)
    counted.append(live)
    prepared = PreparedSuite.of(inputs.suite, live.module)
    say = next(chosen for chosen in inputs.suite.sets if chosen.name == "say")
    half = timing._time(lambda: prepared.measure(live.module, say, Part(0, 1, 2)))
    read = sum(prepared.n_tokens_of(chosen) for chosen in inputs.suite.likelihood_sets)
    measured = measure_steps(live, inputs, 1)
    assert measured.evaluation_seconds == pytest.approx(read + 2 * half)


def test_a_set_of_one_example_is_measured_once(
    pico: Path, counted: list[LiveModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    (pico / "own.py").write_text("def norm(model, tokenizer):\n    return {'norm': 1.0}\n")
    monkeypatch.syspath_prepend(pico)
    inputs = inputs_of(pico, (SETS, SETS + NORM))
    live = require_inputs(inputs)
    counted.append(live)
    first, again = (measure_steps(live, inputs, 1, has_begun=begun) for begun in (False, True))
    assert first.evaluation_seconds == pytest.approx(again.evaluation_seconds + 1000)
