"""K candidates of LoRA experts in one batch, against K forward passes of the same tokens.

Method:
    SmolLM2-135M's shape with random weights; 8 adapters of rank 16 on every linear layer. Per
    repetition, one after the other: the K plain forward passes (the limit: nothing is merged), the
    candidates unmerged, as many in a batch as fit into 2 GB of activations, and each candidate
    merged in its turn. CPU seconds.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from benchmarks.claims import Claim, save_claims
from benchmarks.models import add_scratch_option, large_base, scratch_folder
from safetensors.torch import save_file

from mixwise.data.heldout import HeldoutRows
from mixwise.evaluation.likelihood.text import TextSet
from mixwise.evaluation.suite import EvaluationSuite, PreparedSuite
from mixwise.merging.task_vectors.adapters import LoraExpert, write_adapters
from mixwise.models.checkpoint import Checkpoint, open_checkpoint
from mixwise.models.live_model import LiveModel
from mixwise.scoring.worker.adapter_batch import candidate_cost, measure_unmerged

RANK = 16
_SEQUENCE_TOKENS = 256
_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_THRESHOLD = 1.15


def save_adapters(live: LiveModel, scratch: Path, n_adapters: int) -> list[Checkpoint]:
    """Random LoRA adapters of every linear layer, as PEFT saves them."""
    config = {"peft_type": "LORA", "r": RANK, "lora_alpha": RANK, "target_modules": list(_TARGETS)}
    opened = []
    for k in range(n_adapters):
        folder = scratch / "large" / f"adapter{k}"
        folder.mkdir(parents=True, exist_ok=True)
        generator = torch.Generator().manual_seed(k)
        tensors = {}
        for name, tensor in live.tensors.items():
            if any(target in name for target in _TARGETS):
                stem = f"base_model.model.{name.removesuffix('.weight')}"
                for factor, shape in (
                    ("A", (RANK, tensor.shape[1])),
                    ("B", (tensor.shape[0], RANK)),
                ):
                    values = torch.randn(shape, generator=generator) * 0.01
                    tensors[f"{stem}.lora_{factor}.weight"] = values
        save_file(tensors, folder / "adapter_model.safetensors")
        (folder / "adapter_config.json").write_text(json.dumps(config))
        opened.append(open_checkpoint(folder))
    return opened


def random_suite(n_tokens: int, vocabulary: int) -> PreparedSuite:
    """One set of random sequences, in one batch."""
    rng = np.random.default_rng(0)
    shape = (n_tokens // _SEQUENCE_TOKENS, _SEQUENCE_TOKENS)
    sequences = HeldoutRows(rng.integers(vocabulary, size=shape), np.ones(shape, dtype=int))
    return PreparedSuite(EvaluationSuite((TextSet("random", sequences),), shape[0]), "cpu")


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of one call."""
    started = time.process_time()
    work()
    return time.process_time() - started


def measure(
    live: LiveModel, experts: list[LoraExpert], n_candidates: int, n_tokens: int, repetitions: int
) -> list[Claim]:
    """Compare the three ways on some tokens per candidate."""
    suite = random_suite(n_tokens, live.module.config.vocab_size)
    rng = np.random.default_rng(1)
    shares = rng.dirichlet(np.ones(len(experts)), size=n_candidates)

    def plain() -> None:
        for _ in range(n_candidates):
            suite.evaluate(live.module)

    def merged() -> list[float]:
        values = []
        for row in shares.tolist():
            write_adapters(live, experts, row)
            values.append(suite.evaluate(live.module)[0].value)
        return values

    def unmerged() -> list[float]:
        found = measure_unmerged(live, experts, shares, suite)
        return [measurements[0].value for measurements in found]

    np.testing.assert_allclose(unmerged(), merged(), atol=1e-5)
    times = np.array(
        [[cpu_seconds(way) for way in (plain, unmerged, merged)] for _ in range(repetitions)]
    )
    costs = candidate_cost(
        live, experts, n_candidates=n_candidates, n_batches=1, batch_tokens=n_tokens
    )
    predicted = "unmerged" if costs.unmerged < costs.merged else "merged"
    print(f"{n_tokens} tokens: CPU seconds {times.tolist()}; the cost formula says {predicted}")
    return [
        _claim(f"{way}, {n_tokens} tokens per candidate", times[:, k] / times[:, 0], goal)
        for way, k, goal in (
            ("unmerged", 1, _THRESHOLD if n_tokens >= 1024 else None),
            ("merged", 2, None),
        )
    ]


def _claim(what: str, ratios: np.ndarray, at_most: float | None) -> Claim:
    return Claim(
        what=f"{what} ÷ plain forward passes",
        value=float(np.median(ratios)),
        low=float(ratios.min()),
        high=float(ratios.max()),
        n=len(ratios),
        at_most=at_most,
    )


def main() -> None:
    """Measure the curve over tokens per candidate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=8)
    parser.add_argument("--experts", type=int, default=8)
    parser.add_argument("--tokens", type=int, nargs="+", default=[256, 1024])
    parser.add_argument("--repetitions", type=int, default=2)
    add_scratch_option(parser)
    given = parser.parse_args()
    torch.set_num_threads(1)
    claims: list[Claim] = []
    with scratch_folder(given.scratch) as scratch:
        live = LiveModel.load(open_checkpoint(large_base(scratch)))
        adapters = save_adapters(live, scratch, given.experts)
        experts = [LoraExpert(live, adapter) for adapter in adapters]
        for n_tokens in given.tokens:
            claims += measure(live, experts, given.candidates, n_tokens, given.repetitions)
    save_claims("adapters", claims, candidates=given.candidates, experts=given.experts, rank=RANK)


if __name__ == "__main__":
    main()
