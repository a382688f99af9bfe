from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from tests.tiny_models import KINDS, save_adapter, save_base

from mixwise.errors import CheckpointError
from mixwise.merging.merged_adapter import save_merged_adapter
from mixwise.merging.task_vectors.adapters import LoraExpert
from mixwise.models.checkpoint import open_checkpoint
from mixwise.models.live_model import LiveModel
from mixwise.models.loading import load_module

WEIGHTS = [0.6, 0.0, -0.5]


@pytest.mark.parametrize("kind", KINDS)
def test_one_adapter_is_the_weighted_sum_of_the_updates(kind: str, tmp_path: Path) -> None:
    base = save_base(kind, tmp_path / "base")
    few = ["c_attn"] if kind == "gpt2" else ["q_proj", "down_proj"]
    given = [
        save_adapter(base, tmp_path / "a", 1),
        save_adapter(base, tmp_path / "b", 2),
        save_adapter(base, tmp_path / "c", 3, targets=few),
    ]
    live = LiveModel.load(base)
    experts = [LoraExpert(live, checkpoint) for checkpoint in given]
    (tmp_path / "out").mkdir()
    save_merged_adapter(
        live, experts, WEIGHTS, tmp_path / "out", base_name=str(base.folder), task_type="CAUSAL_LM"
    )
    merged = LoraExpert(live, open_checkpoint(tmp_path / "out"))
    assert merged.factors.keys() == experts[0].factors.keys() | experts[2].factors.keys()
    for name in merged.factors:
        truth = sum(
            weight * expert.load(name).double()
            for expert, weight in zip(experts, WEIGHTS, strict=True)
            if name in expert
        )
        torch.testing.assert_close(merged.load(name).double(), truth, rtol=0, atol=1e-6)
    model = PeftModel.from_pretrained(load_module(base.folder), str(tmp_path / "out"))
    state = model.merge_and_unload().state_dict()
    for name in merged.factors:
        added = state[name].double() - base.load_tensor(name).double()
        torch.testing.assert_close(added, merged.load(name).double(), rtol=0, atol=1e-6)
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert config["r"] == config["lora_alpha"] == 2 + 4  # ranks of a and c
    assert config["base_model_name_or_path"] == str(base.folder)


def test_an_adapter_of_nothing_is_refused(tmp_path: Path) -> None:
    base = save_base("llama tied", tmp_path / "base")
    live = LiveModel.load(base)
    expert = LoraExpert(live, save_adapter(base, tmp_path / "a", 1))
    with pytest.raises(CheckpointError, match="must have an expert with a weight, but has none"):
        save_merged_adapter(live, [expert], [0.0], tmp_path, base_name="b", task_type=None)
