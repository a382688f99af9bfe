"""Gradients at the base as experts of no training: what they say of sixteen domains' mixtures.

    python -m benchmarks.truth.gradients [--scratch .bench/horizons]

Notation:
    θ₀: base.  g_b: gradient of a domain's loss on batch b.  g = mean g_b, v = mean g_b².
    n: batches, as many as an expert of n steps reads, of the same size.  η: rate of the experts.

Method:
    The expert of a domain in the limit of a short run is θ₀ − η n P g. P is 1 / √v of the domain's
    own batches (``own``), as Adam divides, or of all domains' (``shared``), so that a mixture of
    gradients is the gradient of the mixture. Its predictions are averaged as those of any expert,
    and its step is taken longer too. Price: n batches of every domain, one backward pass each.

Source:
    Xie et al. 2023 (DoReMi, arXiv 2305.10429) and Fan et al. 2024 (DoGE, arXiv 2310.15393) weigh
    domains by how their gradients agree along a run.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from benchmarks.truth.families import MANY
from benchmarks.truth.horizon_table import append, key_of, load, row_of
from benchmarks.truth.horizons import BATCH, LENGTH, RATE, asked_of, open_bed
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from mixwise.models.checkpoint import Checkpoint, open_checkpoint
from mixwise.scoring.predictions import PredictionScorer
from mixwise.study.session import Workspace

BED = "many-gradients"
BATCHES = (4, 8, 16)  # n
FACTORS = (1.0, 3.0)  # that the step is taken longer by
_EPSILON = 1e-8
_WEIGHTS = "model.safetensors"
Moments = tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]  # g and v, by tensor


def moments(workspace: Workspace, domain: str, n_batches: int) -> Moments:
    """Mean gradient of a domain at the base, and its mean square over batches."""
    folder = workspace.inputs.base.folder
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    rows = workspace.inputs.corpus(domain).train.rows(
        LENGTH, workspace.inputs.tokenizer.start_of_text
    )
    order = np.random.default_rng(0).permutation(len(rows.ids))
    first: dict[str, torch.Tensor] = {}
    second: dict[str, torch.Tensor] = {}
    for b in range(n_batches):
        chosen = order[np.arange(b * BATCH, (b + 1) * BATCH) % len(order)]
        ids, labels = (np.stack(both) for both in zip(*map(rows.read, chosen), strict=True))
        model.zero_grad()
        model(input_ids=torch.from_numpy(ids), labels=torch.from_numpy(labels)).loss.backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None
            part = parameter.grad / n_batches
            first[name] = first.get(name, 0) + part
            second[name] = second.get(name, 0) + part * parameter.grad
    return first, second


def write_experts(
    workspace: Workspace, found: Mapping[str, Moments], n_batches: int, kind: str, scratch: Path
) -> dict[str, Checkpoint]:
    """The models θ₀ − η n P g, opened."""
    base = workspace.inputs.base.folder
    weights = load_file(base / _WEIGHTS)
    shared = {
        name: torch.stack([second[name] for _, second in found.values()]).mean(dim=0)
        for name in next(iter(found.values()))[1]
    }
    experts = {}
    for domain, (first, second) in found.items():
        folder = scratch / f"{kind}-{n_batches}-{domain}"
        shutil.copytree(base, folder, dirs_exist_ok=True)
        square = second if kind == "own" else shared
        moved = {
            name: tensor - RATE * n_batches * first[name] / (square[name].sqrt() + _EPSILON)
            if name in first
            else tensor
            for name, tensor in weights.items()
        }
        save_file(moved, folder / _WEIGHTS, metadata={"format": "pt"})
        experts[domain] = open_checkpoint(folder)
    return experts


def main() -> None:
    """Score the mixtures of the bed of sixteen domains by gradients."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--scratch", type=Path, default=Path(".bench/horizons"))
    scratch = parser.parse_args().scratch
    done = {row.key for row in load(BED)}
    with open_bed(MANY, scratch) as workspace:
        asked = asked_of(MANY, workspace.recipe.domain_names)
        folder = scratch / BED
        for n in BATCHES:
            found = {name: moments(workspace, name, n) for name in workspace.recipe.domains}
            for kind in ("own", "shared"):
                experts = write_experts(workspace, found, n, kind, folder)
                for factor in FACTORS:
                    answer = f"gradients, {kind}, {factor:g}"
                    if key_of(answer, n, 0, asked[-1].shares) in done:
                        continue
                    scorer = PredictionScorer(
                        experts, workspace.evaluations, folder / "of", coefficient=factor
                    )
                    scores = zip(asked, scorer.score(asked), strict=True)
                    append(BED, [row_of(answer, n, 0, m, o) for m, o in scores])
            print(f"{BED}: {n} batches of each domain", flush=True)


if __name__ == "__main__":
    main()
