"""Merges of mixwise beside those of mergekit, both from one configuration.

    python -m trials.mergekit [MERGEKIT-YAML]

mergekit runs as its own command, by default one that is found on the path or installed in an
environment of its own. Three architectures, ``linear`` and ``task_arithmetic``: the two merged
checkpoints must hold the same tensors to 1e-6. What mixwise writes beside a merge is merged by
mergekit once more, and must give the same. One line a case; exit 1 if any differs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import yaml

from mixwise.stages.merged_folder import MERGEKIT_FILE
from mixwise.stages.mergekit import merge_config
from trials.architectures import SIZES

TOLERANCE = 1e-6


def architectures() -> Iterator[tuple[str, Any]]:
    """Names and configurations."""
    import transformers

    yield "llama tied", transformers.LlamaConfig(**SIZES, tie_word_embeddings=True)
    yield "qwen2", transformers.Qwen2Config(**SIZES, tie_word_embeddings=False)
    yield "mixtral", transformers.MixtralConfig(**SIZES, num_local_experts=3)


def save_models(config: Any, folder: Path) -> dict[str, str]:
    """A base and two experts; their folders by name."""
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    for name in ("base", "a", "b"):
        model.save_pretrained(folder / name)
        for parameter in model.parameters():
            parameter.data.add_(torch.randn_like(parameter), alpha=0.05)
    return {name: str(folder / name) for name in ("base", "a", "b")}


def configurations(models: dict[str, str]) -> Iterator[dict[str, Any]]:
    """A linear merge, and one by task arithmetic."""

    def weighted(a: float, b: float) -> list[dict[str, Any]]:
        pairs = {models["a"]: a, models["b"]: b}
        return [{"model": m, "parameters": {"weight": w}} for m, w in pairs.items()]

    yield {"merge_method": "linear", "models": weighted(3.0, 1.0), "dtype": "float32"}
    yield {
        "merge_method": "task_arithmetic",
        "base_model": models["base"],
        "models": weighted(0.7, 0.2),
        "parameters": {"lambda": 0.9},
        "dtype": "float32",
    }


def run_mergekit(command: str, config: Path, to: Path) -> None:
    """Let mergekit merge; its own words where it fails."""
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [command, str(config), str(to), "--no-copy-tokenizer"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{command} failed:\n{done.stderr[-2000:]}")


def compare(ours: Path, theirs: Path) -> float:
    """Largest difference of two checkpoints, in the names that transformers gives them.

    mergekit saves the experts of a Mixtral as one tensor a layer, mixwise as its base does.
    """
    from transformers import AutoModelForCausalLM

    a, b = (AutoModelForCausalLM.from_pretrained(f).state_dict() for f in (ours, theirs))
    assert a.keys() == b.keys()
    return max(float((a[name].double() - b[name].double()).abs().max()) for name in a)


def main() -> None:
    """Run all cases."""
    from benchmarks.processes import find_tool

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("command", nargs="?")
    given = parser.parse_args()
    n_wrong = 0
    with tempfile.TemporaryDirectory() as scratch:
        tool = given.command or find_tool("mergekit-yaml", "mergekit", Path(scratch))
        if tool is None:
            raise SystemExit("mergekit is neither there nor can it be installed")
        for name, architecture in architectures():
            root = Path(scratch) / name.replace(" ", "-")
            models = save_models(architecture, root)
            for k, config in enumerate(configurations(models)):
                path = root / f"{k}.yml"
                path.write_text(yaml.safe_dump(config))
                ours, theirs, again = (root / f"{k}-{w}" for w in ("ours", "theirs", "again"))
                merge_config(path, ours, root / "cache")
                run_mergekit(str(tool), path, theirs)
                run_mergekit(str(tool), ours / MERGEKIT_FILE, again)
                errors = compare(ours, theirs), compare(ours, again)
                is_right = max(errors) <= TOLERANCE
                n_wrong += not is_right
                print(
                    f"{'ok  ' if is_right else 'FAIL'} {name}, {config['merge_method']}: differs "
                    f"by {errors[0]:.1e}, what mixwise wrote for it by {errors[1]:.1e}",
                    flush=True,
                )
    sys.exit(bool(n_wrong))


if __name__ == "__main__":
    main()
