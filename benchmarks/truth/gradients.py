"""Gradients at the base as experts of no training: what they say of a bed's mixtures.

    python -m benchmarks.truth.gradients [BED …] [--scratch .bench/horizons]

Notation:
    θ₀: base.  g_b: gradient of a domain's loss on batch b.  g = mean g_b, v = mean g_b².
    n: batches, as many as an expert of n steps reads, of the same size.  η: rate of the experts.

Method:
    The expert of a domain in the limit of a short run is θ₀ − η n P g. P is 1 / √v of the domain's
    own batches (``own``), as Adam divides, or of all domains' (``shared``), so that a mixture of
    gradients is the gradient of the mixture. Its predictions are averaged as those of any expert,
    and its step is taken shorter and longer too. Price: n batches of every domain, one backward
    pass each. One table a bed, `tables/horizon-BED-gradients.csv`.

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
from benchmarks.truth.horizon_table import append, key_of, load, note_tokens, row_of
from benchmarks.truth.horizons import BATCH, LENGTH, RATE, SETTINGS, asked_of, open_bed
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from mixwise.models.checkpoint import Checkpoint, open_checkpoint
from mixwise.scoring.predictions import PredictionScorer
from mixwise.study.session import Workspace

BEDS = (MANY, "dozen", "demo", "languages")
BATCHES = (4, 8, 16)  # n
FACTORS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.5, 7.0)  # that the step is taken longer by
_OWN = (1.0, 3.0)  # the same, where each domain has a P of its own, of many domains alone
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


def table_of(bed: str) -> str:
    """What a bed's table of gradients is called."""
    return f"{bed}-gradients"


def answer_of(kind: str, factor: float) -> str:
    """What rows of a kind of P and of a length of the step are called."""
    return f"gradients, {kind}, {factor:g}"


def generate(bed: str, scratch: Path) -> None:
    """Score the mixtures of a bed by gradients, where they are not scored yet."""
    name = table_of(bed)
    done = {row.key for row in load(name)}
    with open_bed(bed, scratch) as workspace:
        note_tokens(SETTINGS[bed].family, workspace.inputs.available_tokens)
        asked = asked_of(bed, workspace.recipe.domain_names)
        kinds = {"own": _OWN if bed == MANY else (), "shared": FACTORS}
        for n in (n for n in BATCHES if n <= (SETTINGS[bed].expert_steps or n)):
            missing = {
                kind: [
                    factor
                    for factor in factors
                    if key_of(answer_of(kind, factor), n, 0, asked[-1].shares) not in done
                ]
                for kind, factors in kinds.items()
            }
            if not any(missing.values()):
                continue
            found = {domain: moments(workspace, domain, n) for domain in workspace.recipe.domains}
            for kind, factors in missing.items():
                experts = write_experts(workspace, found, n, kind, scratch / name)
                for factor in factors:
                    scorer = PredictionScorer(
                        experts, workspace.evaluations, scratch / name / "of", coefficient=factor
                    )
                    scores = zip(asked, scorer.score(asked), strict=True)
                    append(name, [row_of(answer_of(kind, factor), n, 0, m, o) for m, o in scores])
            print(f"{name}: {n} batches of each domain", flush=True)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("beds", nargs="*", metavar="BED", help=f"of {', '.join(BEDS)} by default")
    parser.add_argument("--scratch", type=Path, default=Path(".bench/horizons"))
    options = parser.parse_args()
    for bed in options.beds or BEDS:
        generate(bed, options.scratch)


if __name__ == "__main__":
    main()
