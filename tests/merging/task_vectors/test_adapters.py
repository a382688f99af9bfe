from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tests.families import Family
from transformers import AutoModelForCausalLM

from mixwise.errors import CheckpointError
from mixwise.merging.pool import ExpertPool, write_checkpoint
from mixwise.merging.rules.rule import LINEAR, TensorRule
from mixwise.merging.task_vectors.adapters import LoraExpert
from mixwise.mixture import Mixture
from mixwise.models.checkpoint import open_checkpoint
from mixwise.models.live_model import LiveModel

NAMES = ("a", "b")


def make_adapter(base: Path, folder: Path, seed: int, **config: Any) -> Path:
    torch.manual_seed(seed)
    settings = {"r": 2 + seed, "lora_alpha": 4, "target_modules": "all-linear"} | config
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), LoraConfig(**settings))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def adapters(pico_base: Path, tmp_path: Path) -> dict[str, Path]:
    return {
        "a": make_adapter(pico_base, tmp_path / "a", 0),
        "b": make_adapter(pico_base, tmp_path / "b", 1, use_rslora=True),
    }


@pytest.fixture
def live(pico_base: Path) -> LiveModel:
    return LiveModel.load(open_checkpoint(pico_base))


def updates(base: Path, adapter: Path) -> dict[str, torch.Tensor]:
    plain = AutoModelForCausalLM.from_pretrained(base)
    start = {name: tensor.clone() for name, tensor in plain.state_dict().items()}
    merged = PeftModel.from_pretrained(plain, adapter).merge_and_unload()
    return {name: tensor - start[name] for name, tensor in merged.state_dict().items()}


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.3, 0.7), (1.0, 0.0)])
def test_merge_is_the_weighted_sum_of_the_updates(
    shares: tuple[float, float], live: LiveModel, adapters: dict[str, Path], pico_base: Path
) -> None:
    pool = ExpertPool(live, {name: open_checkpoint(path) for name, path in adapters.items()})
    pool.merge(Mixture(NAMES, shares), LINEAR)
    base = AutoModelForCausalLM.from_pretrained(pico_base).state_dict()
    both = [updates(pico_base, adapters[name]) for name in NAMES]
    for name, tensor in live.module.state_dict().items():
        expected = base[name] + shares[0] * both[0][name] + shares[1] * both[1][name]
        assert torch.allclose(tensor, expected, atol=1e-5), name


def test_one_adapter_written_alone_equals_its_corner(
    live: LiveModel, adapters: dict[str, Path]
) -> None:
    opened = {name: open_checkpoint(path) for name, path in adapters.items()}
    ExpertPool(live, opened).merge(Mixture.single(NAMES, "b"), LINEAR)
    corner = {name: tensor.clone() for name, tensor in live.tensors.items()}
    write_checkpoint(live, live.base)
    write_checkpoint(live, opened["b"])
    assert all(torch.equal(live.tensors[name], tensor) for name, tensor in corner.items())


def test_adapter_beside_a_full_model_is_refused(
    live: LiveModel, adapters: dict[str, Path], pico_base: Path
) -> None:
    with pytest.raises(CheckpointError, match="all full models or all adapters"):
        ExpertPool(live, {"a": open_checkpoint(adapters["a"]), "b": open_checkpoint(pico_base)})


def test_what_is_not_plain_lora_is_refused(
    live: LiveModel, pico_base: Path, tmp_path: Path
) -> None:
    folder = make_adapter(pico_base, tmp_path / "dora", 0, use_dora=True)
    with pytest.raises(
        CheckpointError, match=r"`use_dora` of adapter_config.json is True, but DoRA"
    ):
        write_checkpoint(live, open_checkpoint(folder))


def test_adapter_of_another_base_is_refused(
    live: LiveModel, adapters: dict[str, Path], tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    odd = Path(shutil.copytree(adapters["a"], tmp_path / "odd"))
    tensors = load_file(odd / "adapter_model.safetensors")
    for name in list(tensors):
        tensors[name.replace("layers.0", "layers.7")] = tensors.pop(name)
    save_file(tensors, odd / "adapter_model.safetensors")
    with pytest.raises(CheckpointError, match=r"`.*layers\.7.*` fits no weight of the base"):
        write_checkpoint(live, open_checkpoint(odd))


def test_adapter_of_another_width_is_refused(
    live: LiveModel, adapters: dict[str, Path], tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    odd = Path(shutil.copytree(adapters["a"], tmp_path / "odd"))
    tensors = load_file(odd / "adapter_model.safetensors")
    name = next(name for name in sorted(tensors) if "lora_A" in name)
    tensors[name] = torch.zeros(tensors[name].shape[0], 99)
    save_file(tensors, odd / "adapter_model.safetensors")
    with pytest.raises(CheckpointError, match=r"the factors of `.*` must be of shapes"):
        write_checkpoint(live, open_checkpoint(odd))


def test_settings_of_an_adapter_are_part_of_its_fingerprint(
    adapters: dict[str, Path], tmp_path: Path
) -> None:
    odd = Path(shutil.copytree(adapters["a"], tmp_path / "odd"))
    config = json.loads((odd / "adapter_config.json").read_text())
    (odd / "adapter_config.json").write_text(json.dumps(config | {"lora_alpha": 8}))
    assert open_checkpoint(odd).fingerprint != open_checkpoint(adapters["a"]).fingerprint


def test_adapter_is_a_task_vector(
    live: LiveModel, adapters: dict[str, Path], pico_base: Path
) -> None:
    vector = LoraExpert(live, open_checkpoint(adapters["b"]))
    check_task_vector(vector, live, updates(pico_base, adapters["b"]))


def test_adapter_of_weights_kept_the_other_way_round_is_one_too(
    families: dict[str, Family], tmp_path: Path
) -> None:
    base = families["gpt2"].base
    targets = {"target_modules": ["c_attn", "c_fc"], "fan_in_fan_out": True}
    adapter = make_adapter(base, tmp_path / "a", 1, **targets)
    live = LiveModel.load(open_checkpoint(base))
    check_task_vector(LoraExpert(live, open_checkpoint(adapter)), live, updates(base, adapter))


def check_task_vector(
    vector: LoraExpert, live: LiveModel, expected: dict[str, torch.Tensor]
) -> None:
    touched = {name for name, update in expected.items() if update.abs().max() > 0}
    assert {name for name in live.tensors if name in vector} == touched
    for name in sorted(touched):
        delta, gradient = vector.load(name), torch.randn(live.tensors[name].shape)
        assert torch.allclose(delta, expected[name], atol=1e-5)
        truth = float((delta * gradient).sum())
        assert vector.dot(name, gradient) == pytest.approx(truth, rel=1e-4, abs=1e-5)
        head, tail = gradient.view(-1)[:128], gradient.view(-1)[128:]
        parts = vector.dot(name, head) + vector.dot(name, tail, start=128)
        assert parts == pytest.approx(truth, rel=1e-4, abs=1e-5)
        total = tail.clone()
        vector.add_to(total, name, -2.0, start=128)
        assert torch.allclose(total, tail - 2 * delta.view(-1)[128:], atol=1e-6)


def test_rules_that_combine_take_adapters_too(
    live: LiveModel, adapters: dict[str, Path], pico_base: Path, tmp_path: Path
) -> None:
    narrow = make_adapter(pico_base, tmp_path / "narrow", 2, target_modules=["q_proj"])
    opened = {"a": open_checkpoint(adapters["a"]), "b": open_checkpoint(narrow)}
    product = TensorRule(
        "product",
        "made up",
        combine=lambda name, deltas, shares: shares.prod() * deltas[0] * deltas[1],
    )
    ExpertPool(live, opened).merge(Mixture(NAMES, (0.4, 0.6)), product)
    first, second = updates(pico_base, adapters["a"]), updates(pico_base, narrow)
    for name, tensor in live.tensors.items():
        expected = live.base_tensor(name) + 0.24 * first[name] * second[name]
        assert torch.allclose(tensor, expected, atol=1e-6), name
