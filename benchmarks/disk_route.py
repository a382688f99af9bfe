"""A candidate by way of the disk, against a candidate in memory: CPU seconds of all processes.

Disk: mergekit-yaml writes a checkpoint, a new process loads and evaluates it, its output is read.
Memory: the experts are open; the candidate is merged into the live model and evaluated. Beside them
stands lm-eval's own process on the same checkpoint and text. All must give the same bits per byte.

mergekit and lm-eval are used where they are found, else installed in environments of their own
under the scratch folder; where that fails their rows are left out, and a line says so.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.claims import Claim, save_claims
from benchmarks.models import (
    DEMO,
    DEMO_DOMAINS,
    SEQUENCE_TOKENS,
    add_scratch_option,
    demo_sequences,
    large_base,
    large_experts,
    scratch_folder,
)
from benchmarks.processes import (
    BATCH_SEQUENCES,
    Answer,
    Text,
    evaluate_by_lm_eval,
    evaluate_in_new_process,
    find_tool,
    write_candidate,
)
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from mixwise.data.heldout import HeldoutRows
from mixwise.evaluation.likelihood.text import TextSet
from mixwise.evaluation.suite import EvaluationSuite, PreparedSuite
from mixwise.merging.pool import ExpertPool
from mixwise.merging.rules.rule import LINEAR
from mixwise.mixture import Mixture
from mixwise.models.checkpoint import open_checkpoint
from mixwise.models.live_model import LiveModel

_N_EXPERTS = 4
_TOKENS = (1_024, 2_048, 4_096, 16_384)
_CURVE: Mapping[str, Sequence[int]] = {
    "1M": (1_024, 2_048, 16_384),
    "20M": (2_048,),
    "135M": (2_048,),
}
_GOALS = {("1M", 2_048): 50.0, ("135M", 2_048): 3.0}
_TOLERANCE = 1e-3  # bits per byte
_MEDIUM = LlamaConfig(
    vocab_size=24_576,
    hidden_size=384,
    intermediate_size=1_024,
    num_hidden_layers=6,
    num_attention_heads=6,
    num_key_value_heads=6,
    tie_word_embeddings=True,
)


@dataclass(frozen=True, slots=True)
class Experts:
    """A base and its experts on disk."""

    base: Path
    folders: Mapping[str, Path]


def noisy_experts(scratch: Path, name: str, base: Path) -> Experts:
    """Experts of a small base: the base plus noise of a task vector's size."""
    folders = {f"d{k}": scratch / name / f"d{k}" for k in range(_N_EXPERTS)}
    for k, folder in enumerate(folders.values()):
        if not folder.exists():
            shutil.copytree(base, folder)
            generator = torch.Generator().manual_seed(k)
            tensors = load_file(base / "model.safetensors")
            for tensor in tensors.values():
                tensor.add_(torch.randn(tensor.shape, generator=generator), alpha=2e-4)
            save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return Experts(base, folders)


def medium_experts(scratch: Path) -> Experts:
    """A random Llama of 20 M parameters with its experts."""
    base = scratch / "medium" / "base"
    if not base.exists():
        torch.manual_seed(0)
        LlamaForCausalLM(_MEDIUM).save_pretrained(base)
    return noisy_experts(scratch, "medium", base)


MODELS: Mapping[str, Callable[[Path], Experts]] = {
    "1M": lambda scratch: noisy_experts(scratch, "small", DEMO / "base"),
    "20M": medium_experts,
    "135M": lambda scratch: Experts(large_base(scratch), large_experts(scratch, _N_EXPERTS)),
}


def read_text(n_tokens: int) -> Text:
    """Sequences of the demo's data that are the same tokens again when read back as text."""
    tokenizer: Any = AutoTokenizer.from_pretrained(DEMO / "base")
    n = n_tokens // SEQUENCE_TOKENS
    rows, texts = [], []
    for ids in np.concatenate([demo_sequences(name, n) for name in DEMO_DOMAINS]):
        body = ids[: SEQUENCE_TOKENS - 1].tolist()
        text = tokenizer.decode(body)
        if 0 not in body and tokenizer(text)["input_ids"] == body:
            rows.append([0, *body])
            texts.append(text)
    if len(rows) < n:
        raise SystemExit(f"the demo's data give {len(rows)} sequences, but {n} are wanted")
    return Text(np.array(rows[:n]), tuple(texts[:n]))


class InMemory:
    """Candidates by mixwise, the experts open.

    Args:
        experts: Base and experts.
        store: Folder of the task vectors.
    """

    def __init__(self, experts: Experts, store: Path) -> None:
        started = time.process_time()
        opened = {name: open_checkpoint(folder) for name, folder in experts.folders.items()}
        self._pool = ExpertPool(LiveModel.load(open_checkpoint(experts.base)), opened, folder=store)
        self.opening_seconds = time.process_time() - started

    def answer(self, mixtures: Sequence[Mixture], text: Text) -> list[Answer]:
        """Merge and evaluate each mixture."""
        sizes = np.zeros_like(text.sequences)
        sizes[:, 1] = text.n_bytes
        chosen = TextSet("text", HeldoutRows(text.sequences, sizes))
        module = self._pool.live.module
        suite = PreparedSuite.of(EvaluationSuite((chosen,), BATCH_SEQUENCES), module)
        answers = []
        for mixture in mixtures:
            started = time.process_time()
            self._pool.merge(mixture, LINEAR)
            _, bits = suite.evaluate(module)
            answers.append(Answer(bits.value, time.process_time() - started))
        return answers


def require_same(expected: Answer, found: Answer, what: str) -> None:
    """Stop where two ways disagree: their times could not be compared."""
    if abs(expected.bits_per_byte - found.bits_per_byte) > _TOLERANCE:
        raise SystemExit(
            f"{what} gives {found.bits_per_byte:.6f} bits per byte, but mixwise "
            f"{expected.bits_per_byte:.6f}: they do not measure the same"
        )


def compare(
    size: str,
    tokens: Sequence[int],
    scratch: Path,
    mergekit: Path | None,
    lm_eval: Path | None,
    n_candidates: int,
) -> list[Claim]:
    """All rows of one model size."""
    experts = MODELS[size](scratch)
    names = tuple(experts.folders)
    shares = np.random.default_rng(0).dirichlet(np.ones(len(names)), n_candidates)
    mixtures = [Mixture(names, tuple(row)) for row in shares]
    memory = InMemory(experts, scratch / "store" / size)
    print(f"{size}: opened once in {memory.opening_seconds:.1f} CPU s", flush=True)
    if mergekit is None:
        return []
    folders = [scratch / "candidates" / f"{size}-{k}" for k in range(n_candidates)]
    folders[0].parent.mkdir(parents=True, exist_ok=True)
    pairs = zip(mixtures, folders, strict=True)
    written = [write_candidate(mergekit, experts.folders, *pair) for pair in pairs]
    claims = []
    for n_tokens in tokens:
        text = read_text(n_tokens)
        ours = memory.answer(mixtures, text)
        theirs = [evaluate_in_new_process(folder, text, scratch) for folder in folders]
        for one, other in zip(ours, theirs, strict=True):
            require_same(one, other, "the disk route")
        disk = [w + a.seconds for w, a in zip(written, theirs, strict=True)]
        row = f"{size}, {n_tokens:,} tokens"
        goal = _GOALS.get((size, n_tokens))
        claims.append(_ratio(f"{row}: disk route ÷ memory", disk, ours, goal))
        if lm_eval is not None:
            alone = evaluate_by_lm_eval(lm_eval, folders[0], text, scratch)
            require_same(ours[0], alone, "lm-eval")
            claims.append(_ratio(f"{row}: lm-eval's process ÷ memory", [alone.seconds], ours))
        print(f"{row}: memory {ours}, disk {disk}", flush=True)
    return claims


def _ratio(
    what: str, theirs: Sequence[float], ours: Sequence[Answer], goal: float | None = None
) -> Claim:
    mine = [answer.seconds for answer in ours]
    return Claim(
        what,
        value=float(np.median(theirs) / np.median(mine)),
        low=min(theirs) / max(mine),
        high=max(theirs) / min(mine),
        n=len(theirs),
        at_least=goal,
    )


def main() -> None:
    """Measure the curve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="all eval sizes for all models")
    parser.add_argument("--candidates", type=int, default=2, help="candidates per model")
    add_scratch_option(parser)
    given = parser.parse_args()
    torch.set_num_threads(1)
    curve = dict.fromkeys(MODELS, _TOKENS) if given.full else _CURVE
    with scratch_folder(given.scratch) as scratch:
        mergekit = find_tool("mergekit-yaml", "mergekit", scratch)
        lm_eval = find_tool("lm_eval", "lm-eval[hf]", scratch)
        claims = [
            claim
            for size, tokens in curve.items()
            for claim in compare(size, tokens, scratch, mergekit, lm_eval, given.candidates)
        ]
    save_claims("disk_route", claims, n_experts=_N_EXPERTS, batch_sequences=BATCH_SEQUENCES)


if __name__ == "__main__":
    main()
