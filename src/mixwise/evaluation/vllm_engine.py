"""Answers that vLLM writes: one running engine a process, whose weights are replaced in place.

Method:
    The merged model is written as a folder of transformers, which the engine's workers read in the
    place of what they held (`reload_weights`); nothing is compiled or allocated anew. vLLM only
    warns of tensors that it misses, so that every reload is checked: after some prompts, the
    log-probability of the first token that it writes must be the live model's. Prefixes are not
    cached, as those of other weights would answer.

Departures:
    Where two tokens are nearly as likely, its kernels may choose another than transformers' do, and
    samples are drawn by its own generators, seeded by question: answers of the two generators are
    not the same numbers. Logits that are no numbers are found by the check alone.

Source:
    vLLM 0.33: `LLM.collective_rpc`, `Worker.reload_weights`, `SamplingParams`.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mixwise.errors import EvaluationError, MissingDependencyError, first_line, printable
from mixwise.kinds.generation import GenerationKeys

_N_CHECKED = 8  # prompts
_TOLERANCE = {torch.float32: 0.02}  # nats, mean over them
_ROUNDED = 0.2  # the same of 16-bit numbers


def vllm_release(key: str) -> str:
    """The installed release, which answers depend on.

    Args:
        key: Key path of the set, for the error text.

    Raises:
        MissingDependencyError: If there is none.
    """
    try:
        return metadata.version("vllm")
    except metadata.PackageNotFoundError:
        raise MissingDependencyError(
            f"`{key}.generator`: vllm needs the package of that name and a GPU: pip install "
            "'mixwise[vllm]', or set `generator: transformers`"
        ) from None


@dataclass(frozen=True, slots=True)
class Written:
    """What the engine wrote after a prompt.

    Args:
        ids: Its tokens, the one that ended it counted where there is one.
        first_log_probability: Of the first of them, in nats.
    """

    ids: tuple[int, ...]
    first_log_probability: float


class VllmEngine:
    """A running engine.

    Args:
        llm: vLLM's ``LLM``, or what has its `collective_rpc` and `generate`.
        sampling_params: vLLM's ``SamplingParams``.
    """

    def __init__(self, llm: Any, sampling_params: Any) -> None:
        self._llm = llm
        self._sampling_params = sampling_params

    def load(self, model: Any) -> None:
        """Put the weights of a live model into the place of those that it holds.

        Raises:
            EvaluationError: If it does not take them.
        """
        with tempfile.TemporaryDirectory(prefix="mixwise-vllm-") as folder:
            model.save_pretrained(folder)
            with _explained("take the weights of a merged model"):
                self._llm.collective_rpc("reload_weights", kwargs={"weights_path": folder})

    def write(
        self,
        prompts: Sequence[Sequence[int]],
        keys: GenerationKeys,
        questions: Sequence[int],
        ends: Sequence[int],
    ) -> list[Written]:
        """Write an answer after each prompt.

        Args:
            prompts: Their tokens.
            keys: How answers are written.
            questions: Indices of the questions, which seed samples.
            ends: Tokens that end an answer.

        Raises:
            EvaluationError: If a request was given up, or the engine has failed.
        """
        params = [
            self._sampling_params(
                max_tokens=keys.max_new_tokens,
                temperature=keys.temperature,
                top_p=keys.top_p,
                seed=int(np.random.SeedSequence((keys.seed, k)).generate_state(1)[0]) >> 1,
                stop=list(keys.stop) or None,
                stop_token_ids=list(ends),
                logprobs=0,
            )
            for k in questions
        ]
        asked = [{"prompt_token_ids": list(prompt)} for prompt in prompts]
        with _explained("write answers"):
            found = self._llm.generate(asked, params, use_tqdm=False)
        return [_read(each.outputs[0]) for each in found]


@contextmanager
def _explained(task: str) -> Iterator[None]:
    """Say what a running engine could not do; vLLM raises errors of many libraries."""
    try:
        yield
    except Exception as error:
        raise EvaluationError(
            f"vLLM could not {task} ({printable(first_line(error), 300)}): set "
            "`generator: transformers`, or change `generator_memory`"
        ) from error


def _read(output: Any) -> Written:
    ids = tuple(int(token) for token in output.token_ids)
    if not ids:
        raise EvaluationError(
            f"vLLM wrote nothing after a prompt ({output.finish_reason}): set "
            "`generator: transformers`"
        )
    return Written(ids, float(output.logprobs[0][ids[0]].logprob))


@functools.cache
def open_engine(base: Path, dtype: str, memory: float, trusted: bool) -> VllmEngine:
    """The engine of this process, started at its first use.

    Args:
        base: Folder of the base, whose architecture and tokenizer it takes.
        dtype: Precision of its weights: ``float32``, ``bfloat16`` or ``float16``.
        memory: Share of the GPU that it may take.
        trusted: Whether code of the base's folder may run.

    Raises:
        EvaluationError: If it cannot be started.
    """
    from vllm import LLM, SamplingParams

    try:
        llm = LLM(
            model=str(base),
            dtype=dtype,
            gpu_memory_utilization=memory,
            trust_remote_code=trusted,
            enable_prefix_caching=False,
        )
    except Exception as error:  # vLLM raises errors of many libraries
        raise EvaluationError(
            f"vLLM cannot be started on {base} ({printable(first_line(error), 300)}): set "
            "`generator: transformers`, or change `generator_memory`"
        ) from error
    return VllmEngine(llm, SamplingParams)


@torch.no_grad()
def require_same_model(
    model: Any, prompts: Sequence[Sequence[int]], written: Sequence[Written]
) -> None:
    """Find that an engine holds the weights of a live model.

    Args:
        model: The live model.
        prompts: Prompts, at least one.
        written: What the engine wrote after each.

    Raises:
        EvaluationError: If the first tokens are not as likely by the one as by the other.
    """
    device, apart = next(model.parameters()).device, []
    for prompt, answer in list(zip(prompts, written, strict=True))[:_N_CHECKED]:
        logits = model(input_ids=torch.tensor([list(prompt)], device=device)).logits[0, -1]
        expected = float(torch.log_softmax(logits.float(), dim=-1)[answer.ids[0]])
        apart.append(abs(expected - answer.first_log_probability))
    limit = _TOLERANCE.get(next(model.parameters()).dtype, _ROUNDED)
    if not np.mean(apart) <= limit:
        raise EvaluationError(
            "vLLM does not answer as the merged model does: the first tokens of its answers are "
            f"{np.mean(apart):.3g} nats more or less likely on average, and at most {limit:g} are "
            "due to rounding: set `generator: transformers`"
        )
