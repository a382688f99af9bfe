"""Let mergekit merge a few small tensors, for the comparison rules to be tested against.

Writes tests/merging/data/mergekit.json: a base, three experts, and what mergekit's own command
makes of them by each method. mergekit is taken from the path, or installed in an environment of its
own. Random methods start from the seed that mixwise has for the tensor's name.

    python -m tools.mergekit_goldens --scratch /tmp/mergekit
"""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import yaml
from benchmarks.processes import find_tool
from safetensors.torch import load_file, save_file
from torch import Tensor

from mixwise.merging.rules.comparisons import DENSITY, OUTLIERS, RANK_SPREAD
from mixwise.merging.rules.sparsification import generator_for

GOLDENS = Path("tests/merging/data/mergekit.json")
TENSOR = "layer.weight"
SHAPE = (10, 16)
SPARSE: Mapping[str, Mapping[str, float]] = {
    "ties": {"density": DENSITY},
    "dare_linear": {"density": DENSITY},
    "dare_ties": {"density": DENSITY},
    "della": {"density": DENSITY, "epsilon": RANK_SPREAD},
    "breadcrumbs": {"density": DENSITY, "gamma": OUTLIERS},
}
WEIGHTS = (0.5, 0.3, 0.2)


@dataclass(frozen=True, slots=True)
class Merge:
    """What mergekit made of the first experts, one per weight."""

    method: str
    weights: tuple[float, ...]
    merged: list[list[float]]


@dataclass(frozen=True, slots=True)
class Case:
    """One call of mergekit; ``parameters`` are those of each model."""

    method: str
    weights: tuple[float, ...] = WEIGHTS
    parameters: Mapping[str, float] | None = None
    has_base: bool = True


CASES = (
    Case("linear", has_base=False),
    Case("multislerp"),
    Case("nuslerp", (0.7, 0.3)),
    *(Case(method, parameters=settings) for method, settings in SPARSE.items()),
    Case("ties", (0.1, 0.1, 0.8), SPARSE["ties"]),
    Case("breadcrumbs", (0.7, 0.3), SPARSE["breadcrumbs"]),
)


def draw_models() -> list[Tensor]:
    """The base, and experts whose task vectors have something in common; six decimals each."""
    generator = torch.Generator().manual_seed(0)
    base, common, *own = (torch.randn(SHAPE, generator=generator) for _ in range(5))
    experts = [base + 0.1 * (common + delta) for delta in own]
    return [torch.round(tensor, decimals=6) for tensor in (base, *experts)]


def run_case(command: Path, case: Case, files: Sequence[Path], scratch: Path) -> Merge:
    """Run mergekit once, all of its settings at their defaults but those of the case."""
    base, *experts = (str(file) for file in files)
    settings = case.parameters or {}
    models = [
        {"model": expert, "parameters": {"weight": weight, **settings}}
        for expert, weight in zip(experts, case.weights, strict=False)
    ]
    recipe = {"merge_method": case.method, "models": models, "dtype": "float32"}
    config, out = scratch / "merge.yaml", scratch / "out"
    config.write_text(yaml.safe_dump(recipe | ({"base_model": base} if case.has_base else {})))
    seed = str(generator_for(TENSOR).initial_seed())
    subprocess.run([command, config, out, "--random-seed", seed], check=True)
    [merged] = out.glob("*.safetensors")
    return Merge(case.method, case.weights, _numbers(load_file(merged)[TENSOR]))


def installed_version(command: Path) -> str:
    """Which mergekit answers."""
    code = "import importlib.metadata; print(importlib.metadata.version('mergekit'))"
    python = command.with_name("python")
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout


def _numbers(tensor: Tensor) -> list[list[float]]:
    return [[round(number, 8) for number in row] for row in tensor.tolist()]


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scratch", type=Path, required=True, help="folder for mergekit's files")
    scratch: Path = parser.parse_args().scratch
    scratch.mkdir(parents=True, exist_ok=True)
    command = find_tool("mergekit-pytorch", "mergekit", scratch)
    if command is None:
        raise SystemExit(1)
    models = draw_models()
    files = [scratch / f"{k}.safetensors" for k in range(len(models))]
    for file, model in zip(files, models, strict=True):
        save_file({TENSOR: model}, file)
    base, *experts = (_numbers(model) for model in models)
    goldens = {
        "mergekit": installed_version(command).strip(),
        "tensor": TENSOR,
        "base": base,
        "experts": experts,
        "merges": [asdict(run_case(command, case, files, scratch)) for case in CASES],
    }
    GOLDENS.parent.mkdir(exist_ok=True)
    GOLDENS.write_text(json.dumps(goldens).replace('{"method"', '\n{"method"') + "\n")


if __name__ == "__main__":
    main()
