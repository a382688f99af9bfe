from __future__ import annotations

from pathlib import Path

import pytest
import torch
from trials.mergekit import architectures, compare, configurations, save_models


def test_a_difference_of_one_number_is_found(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    name, config = next(architectures())
    models = save_models(config, tmp_path)
    assert name == "llama tied"
    assert compare(Path(models["a"]), Path(models["a"])) == 0
    moved = AutoModelForCausalLM.from_pretrained(models["a"])
    with torch.no_grad():
        next(moved.parameters())[3, 3] += 0.25
    moved.save_pretrained(tmp_path / "moved")
    assert compare(Path(models["a"]), tmp_path / "moved") == pytest.approx(0.25)


def test_both_methods_are_tried_on_models_that_differ(tmp_path: Path) -> None:
    models = save_models(next(architectures())[1], tmp_path)
    assert compare(Path(models["base"]), Path(models["b"])) > 0.05
    methods = [config["merge_method"] for config in configurations(models)]
    assert methods == ["linear", "task_arithmetic"]
