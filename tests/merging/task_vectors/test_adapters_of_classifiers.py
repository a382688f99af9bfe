"""Adapters of classifiers, whose heads are trained in full, held against PEFT."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
)

from mixwise.errors import CheckpointError
from mixwise.merging.merged_adapter import save_merged_adapter
from mixwise.merging.multi_lora import can_serve
from mixwise.merging.pool import ExpertPool, write_checkpoint, write_scaled
from mixwise.merging.rules.rule import LINEAR
from mixwise.merging.task_vectors.adapters import LoraExpert
from mixwise.mixture import Mixture
from mixwise.models.checkpoint import open_checkpoint
from mixwise.models.live_model import LiveModel
from mixwise.recipe.sections import Lora
from mixwise.training.lora import lora_config

NAMES = ("a", "b")
TEXTS = AutoModelForSequenceClassification
IMAGES = AutoModelForImageClassification
_TEXT = {"vocab_size": 20, "max_position_embeddings": 16, "num_labels": 3}
_WIDE = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
_IMAGE = {"image_size": 8, "patch_size": 4, "num_labels": 3}
FAMILIES: dict[str, tuple[Any, dict[str, Any]]] = {
    "bert": (TEXTS, _TEXT | _WIDE),
    "distilbert": (TEXTS, _TEXT | {"dim": 8, "n_layers": 1, "n_heads": 2, "hidden_dim": 8}),
    "roberta": (TEXTS, _TEXT | _WIDE),  # its head has two layers
    "vit": (IMAGES, _IMAGE | _WIDE),
    "convnext": (IMAGES, {"hidden_sizes": [8, 8, 8, 8], "depths": [1] * 4, "num_labels": 3}),
}


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def base(family: str, tmp_path: Path) -> Path:
    auto, settings = FAMILIES[family]
    torch.manual_seed(0)
    model = auto.from_config(AutoConfig.for_model(family, **settings))
    model.save_pretrained(tmp_path / "base")
    return tmp_path / "base"


@pytest.fixture
def live(base: Path, family: str) -> LiveModel:
    return LiveModel.load(open_checkpoint(base), auto_class=FAMILIES[family][0].__name__)


@pytest.fixture
def adapters(base: Path, family: str, tmp_path: Path) -> dict[str, Path]:
    return {name: make_adapter(base, family, tmp_path / name, k) for k, name in enumerate(NAMES)}


def make_adapter(base: Path, family: str, folder: Path, seed: int) -> Path:
    """As a run makes it, with other numbers in all that is trained."""
    auto, _ = FAMILIES[family]
    module = auto.from_pretrained(base)
    model = get_peft_model(module, lora_config(module, Lora(rank=2), auto.__name__))
    torch.manual_seed(seed + 1)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.3 * torch.randn(parameter.shape)
    model.save_pretrained(folder)
    return folder


def as_peft_merges(base: Path, family: str, folder: Path) -> dict[str, torch.Tensor]:
    model = PeftModel.from_pretrained(FAMILIES[family][0].from_pretrained(base), folder)
    merged: dict[str, torch.Tensor] = model.merge_and_unload().state_dict()
    return merged


def opened(adapters: dict[str, Path]) -> dict[str, Any]:
    return {name: open_checkpoint(folder) for name, folder in adapters.items()}


@pytest.mark.parametrize("shares", [(0.3, 0.7), (1.0, 0.0)])
def test_a_merge_is_the_average_of_what_peft_merges(
    live: LiveModel, adapters: dict[str, Path], base: Path, family: str, shares: tuple[float, float]
) -> None:
    ExpertPool(live, opened(adapters)).merge(Mixture(NAMES, shares), LINEAR)
    first, second = (as_peft_merges(base, family, adapters[name]) for name in NAMES)
    for name, tensor in live.module.state_dict().items():
        expected = shares[0] * first[name] + shares[1] * second[name]
        assert torch.allclose(tensor, expected, atol=1e-5), name
        if name.startswith("classifier"):
            assert not torch.equal(first[name], live.base_tensor(name)), name
            if shares[0] == 1:
                assert torch.equal(tensor, first[name]), name


def test_a_merged_adapter_carries_the_merged_head(
    live: LiveModel, adapters: dict[str, Path], base: Path, family: str, tmp_path: Path
) -> None:
    experts = [LoraExpert(live, open_checkpoint(folder)) for folder in adapters.values()]
    task = json.loads((adapters["a"] / "adapter_config.json").read_text())["task_type"]
    (tmp_path / "merged").mkdir()
    save_merged_adapter(
        live, experts, (0.3, 0.7), tmp_path / "merged", base_name=str(base), task_type=task
    )
    found = as_peft_merges(base, family, tmp_path / "merged")
    first, second = (as_peft_merges(base, family, adapters[name]) for name in NAMES)
    for name, tensor in found.items():
        assert torch.allclose(tensor, 0.3 * first[name] + 0.7 * second[name], atol=1e-5), name


def test_a_head_is_part_of_the_task_vector(
    live: LiveModel, adapters: dict[str, Path], base: Path, family: str
) -> None:
    expert = LoraExpert(live, open_checkpoint(adapters["a"]))
    merged = as_peft_merges(base, family, adapters["a"])
    square = 0.0
    for name, tensor in live.tensors.items():
        delta = merged[name] - live.base_tensor(name)
        square += float(delta.square().sum())
        assert (name in expert) == bool(delta.any()), name
        if name not in expert:
            continue
        assert torch.allclose(expert.load(name), delta, atol=1e-6), name
        total = torch.ones_like(tensor)
        expert.add_to(total, name, 0.5)
        assert torch.allclose(total, 1 + 0.5 * delta, atol=1e-6), name
        gradient = torch.randn(tensor.shape)
        product = float((delta * gradient).sum())
        assert expert.dot(name, gradient) == pytest.approx(product, abs=1e-4), name
    assert expert.norm == pytest.approx(square**0.5, rel=1e-4)
    assert not expert.is_zero
    assert not can_serve(live, [expert])


@pytest.mark.parametrize("family", ["bert"], indirect=True)
def test_a_longer_step_moves_the_head_too(live: LiveModel, adapters: dict[str, Path]) -> None:
    expert = open_checkpoint(adapters["a"])
    write_checkpoint(live, expert)
    one = {name: tensor.clone() for name, tensor in live.tensors.items()}
    write_scaled(live, expert, 2.5)
    for name, tensor in live.tensors.items():
        start = live.base_tensor(name)
        assert torch.allclose(tensor, start + 2.5 * (one[name] - start), atol=1e-5), name


@pytest.mark.parametrize("family", ["bert"], indirect=True)
@pytest.mark.parametrize(
    ("values", "message"),
    [
        (torch.zeros(2, 8), r"the head's `classifier.weight` must be of shape \(3, 8\), by the"),
        (torch.full((3, 8), torch.nan), "classifier.weight` must be finite"),
    ],
)
def test_a_head_that_does_not_fit_is_refused(
    live: LiveModel, adapters: dict[str, Path], values: torch.Tensor, message: str
) -> None:
    file = adapters["a"] / "adapter_model.safetensors"
    tensors = load_file(file)
    name = "base_model.model.classifier.weight"
    assert name in tensors
    save_file(tensors | {name: values}, file)
    with pytest.raises(CheckpointError, match=message):
        LoraExpert(live, open_checkpoint(adapters["a"]))


@pytest.mark.parametrize("family", ["bert"], indirect=True)
def test_a_head_moves_by_less_than_a_step_of_the_bases_precision(
    base: Path, adapters: dict[str, Path]
) -> None:
    TEXTS.from_pretrained(base, dtype=torch.bfloat16).save_pretrained(base)
    live = LiveModel.load(open_checkpoint(base), auto_class=TEXTS.__name__)
    name, file = "classifier.weight", adapters["a"] / "adapter_model.safetensors"
    moved = live.base_tensor(name).float() * 1.001
    assert torch.equal(moved.bfloat16(), live.base_tensor(name))
    save_file(load_file(file) | {f"base_model.model.{name}": moved}, file)
    write_checkpoint(live, open_checkpoint(adapters["a"]))
    assert torch.equal(live.tensors[name], moved)


@pytest.mark.parametrize("family", ["bert"], indirect=True)
@pytest.mark.parametrize("others", [["pooler"], [["score"]]])
def test_other_modules_that_were_trained_in_full_are_refused(
    live: LiveModel, adapters: dict[str, Path], others: list[object]
) -> None:
    file = adapters["a"] / "adapter_config.json"
    config = json.loads(file.read_text())
    config["modules_to_save"] = ["classifier", *others]
    file.write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="only a classifier's head is merged"):
        LoraExpert(live, open_checkpoint(adapters["a"]))


@pytest.mark.parametrize("family", ["bert"], indirect=True)
def test_settings_are_those_of_pefts_task_type(base: Path) -> None:
    """What PEFT itself does for sequence classification, ``all-linear`` included."""
    ours, theirs = (TEXTS.from_pretrained(base) for _ in range(2))
    plain = LoraConfig(r=2, lora_alpha=32, task_type="SEQ_CLS", target_modules="all-linear")
    config = lora_config(ours, Lora(rank=2), TEXTS.__name__)
    trained = [
        {n for n, p in get_peft_model(module, chosen).named_parameters() if p.requires_grad}
        for module, chosen in ((ours, config), (theirs, plain))
    ]
    assert trained[0] == trained[1]


@pytest.mark.parametrize("family", ["bert"], indirect=True)
def test_a_head_by_another_name_is_refused(base: Path) -> None:
    module = TEXTS.from_pretrained(base)
    module.last = module.classifier
    del module.classifier
    with pytest.raises(CheckpointError, match="must be its module `classifier` or `score`"):
        lora_config(module, Lora(), TEXTS.__name__)
