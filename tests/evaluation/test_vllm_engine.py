"""vLLM as the generator, against an engine with its calls that answers by transformers."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.evaluation.test_generation import open_set

from mixwise.errors import EvaluationError, MissingDependencyError, RecipeError
from mixwise.evaluation.vllm_engine import open_engine

VLLM = "measures: [exact_match], generator: vllm"


@dataclass
class SamplingParams:
    max_tokens: int
    temperature: float
    top_p: float
    seed: int
    stop: list[str] | None
    stop_token_ids: list[int]
    logprobs: int


class LLM:
    """The calls of vLLM's class that are made, in their own words."""

    started: list[LLM] = []  # noqa: RUF012  # of one test; the fixture empties it
    ignores: tuple[str, ...] = ()  # tensors that a reload misses

    def __init__(
        self,
        model: str,
        *,
        dtype: str,
        gpu_memory_utilization: float,
        trust_remote_code: bool,
        enable_prefix_caching: bool,
    ) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        assert dtype == "float32"
        assert not enable_prefix_caching
        self.model = AutoModelForCausalLM.from_pretrained(model).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(model)
        self.n_loads = 0
        self.started.append(self)

    def collective_rpc(
        self,
        method: str,
        timeout: float | None = None,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> list[None]:
        assert method == "reload_weights"
        assert kwargs is not None
        [file] = Path(kwargs["weights_path"]).glob("*.safetensors")
        new = {k: v for k, v in load_file(file).items() if not k.startswith(self.ignores or ("-",))}
        self.model.load_state_dict(new, strict=False)
        self.n_loads += 1
        return [None]

    @torch.no_grad()
    def generate(
        self,
        prompts: Sequence[dict[str, list[int]]],
        sampling_params: Sequence[SamplingParams],
        *,
        use_tqdm: bool,
    ) -> list[SimpleNamespace]:
        assert not use_tqdm
        pairs = zip(prompts, sampling_params, strict=True)
        return [self._answer(prompt["prompt_token_ids"], params) for prompt, params in pairs]

    def _answer(self, prompt: list[int], params: SamplingParams) -> SimpleNamespace:
        assert not params.temperature
        ids, logprobs = list(prompt), []
        for _ in range(params.max_tokens):
            logits = self.model(input_ids=torch.tensor([ids])).logits[0, -1]
            best = int(logits.argmax())
            found = float(torch.log_softmax(logits, dim=-1)[best])
            logprobs.append({best: SimpleNamespace(logprob=found)})
            ids.append(best)
            text = self.tokenizer.decode(ids[len(prompt) :])
            if best in params.stop_token_ids or any(s in text for s in params.stop or ()):
                break
        output = SimpleNamespace(token_ids=ids[len(prompt) :], logprobs=logprobs)
        return SimpleNamespace(outputs=[output])


@pytest.fixture(autouse=True)
def vllm(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    module = ModuleType("vllm")
    module.LLM, module.SamplingParams = LLM, SamplingParams  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", module)
    version = metadata.version
    monkeypatch.setattr(metadata, "version", lambda n: "0.33.0" if n == "vllm" else version(n))
    monkeypatch.setattr(LLM, "started", [])
    open_engine.cache_clear()
    yield
    open_engine.cache_clear()


def scaled(pico: Path, by: float) -> Any:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(pico / "base")
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.mul_(by)
    return model.eval()


@pytest.mark.parametrize("stop", ["", ", stop: [e]"])
def test_one_engine_writes_what_each_model_would_write_by_itself(pico: Path, stop: str) -> None:
    plain, by_vllm = (open_set(pico, keys + stop) for keys in ("measures: [f1]", VLLM))
    assert plain.fingerprint != by_vllm.fingerprint
    for scale in (3.0, 2.0, 3.0):
        model = scaled(pico, scale)
        expected = plain._answer(model, range(plain.n_examples))
        assert by_vllm._answer(model, range(plain.n_examples)) == expected
    [engine] = LLM.started
    assert engine.n_loads == 3


def test_an_engine_that_keeps_other_weights_is_an_error(
    pico: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LLM, "ignores", ("model.layers.1",))
    chosen = open_set(pico, VLLM)
    with pytest.raises(EvaluationError, match="vLLM does not answer as the merged model does"):
        chosen.evaluate(scaled(pico, 3.0))


@pytest.mark.parametrize(
    ("call", "task"),
    [("collective_rpc", "take the weights of a merged model"), ("generate", "write answers")],
)
def test_an_engine_that_fails_is_an_error_of_ours(
    pico: Path, monkeypatch: pytest.MonkeyPatch, call: str, task: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(LLM, call, fail)
    rule = rf"vLLM could not {task} \(CUDA out of memory\): set `generator"
    with pytest.raises(EvaluationError, match=rule):
        open_set(pico, VLLM).evaluate(scaled(pico, 2.0))


def test_samples_are_seeded_by_question(pico: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def answer(self: LLM, prompt: list[int], params: SamplingParams) -> SimpleNamespace:
        seen.append((params.temperature, params.top_p, params.seed))
        params.temperature = 0.0
        return whole(self, prompt, params)

    whole = LLM._answer
    monkeypatch.setattr(LLM, "_answer", answer)
    chosen = open_set(pico, f"{VLLM}, temperature: 0.7, top_p: 0.9, seed: 5")
    chosen.evaluate(scaled(pico, 3.0))
    first, seen = seen, []
    chosen.evaluate(scaled(pico, 3.0))
    assert seen == first
    assert {row[:2] for row in first} == {(0.7, 0.9)}
    assert len({row[2] for row in first}) == chosen.n_examples


def test_an_engine_that_does_not_start_is_an_error_of_ours(
    pico: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: LLM, *args: object, **kwargs: object) -> None:
        raise RuntimeError("no kernel\nfor this card")

    monkeypatch.setattr(LLM, "__init__", fails)
    with pytest.raises(EvaluationError, match=r"vLLM cannot be started on .*\(no kernel\)"):
        open_set(pico, VLLM).evaluate(scaled(pico, 1.0))


def test_a_request_that_was_given_up_is_an_error(
    pico: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_up = SimpleNamespace(token_ids=[], logprobs=[], finish_reason="abort")
    monkeypatch.setattr(LLM, "_answer", lambda *_: SimpleNamespace(outputs=[given_up]))
    with pytest.raises(EvaluationError, match=r"wrote nothing after a prompt \(abort\)"):
        open_set(pico, VLLM).evaluate(scaled(pico, 1.0))


def test_without_the_package_the_recipe_is_refused_before_anything_is_trained(
    pico: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    rule = r"`evaluation\.sets\.say\.generator`: vllm needs the package.*mixwise\[vllm\]"
    with pytest.raises(MissingDependencyError, match=rule):
        open_set(pico, VLLM)


def test_memory_of_an_engine_that_is_not_there_is_refused(pico: Path) -> None:
    with pytest.raises(RecipeError, match="`generator_memory` has no effect without"):
        open_set(pico, "measures: [f1], generator_memory: 0.3")
