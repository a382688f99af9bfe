from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.families import FAMILIES, Family, edit
from transformers import AutoConfig, AutoModelForCausalLM

from mixwise.errors import CheckpointError, MixwiseWarning, ResourceError
from mixwise.models import live_model, loading
from mixwise.models.checkpoint import open_checkpoint
from mixwise.models.live_model import LiveModel
from mixwise.models.rounding import round_stochastically


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("name", FAMILIES)
def test_base_is_loaded_in_the_live_precision(
    name: str, precision: str, families: dict[str, Family]
) -> None:
    live = families[name].live(precision=precision)
    for key, tensor in live.tensors.items():
        assert tensor.dtype == getattr(torch, precision)
        assert torch.equal(tensor, live.base_tensor(key).to(tensor.dtype))


def test_rotary_frequencies_stay_precise(families: dict[str, Family]) -> None:
    buffers = dict(families["llama"].live(precision="bfloat16").module.named_buffers())
    assert {buffer.dtype for buffer in buffers.values()} == {torch.float32}


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_whatever_is_written_passes_the_same_stochastic_rounding(
    precision: str, families: dict[str, Family]
) -> None:
    family = families["llama"]
    live = family.live(precision=precision, rounding="stochastic")
    live.write_checkpoint(live.base)
    for key, tensor in live.tensors.items():
        expected = round_stochastically(live.base_tensor(key).view(-1), tensor.dtype, key, 0)
        assert torch.equal(tensor.float().view(-1), expected)


def test_parts_round_as_the_whole_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mixwise.models.chunks._CPU_ELEMENTS", 128)
    live = LiveModel.__new__(LiveModel)
    live.rounding, live.seed = "stochastic", 0
    live.tensors = {"w": torch.zeros(20, 30, dtype=torch.bfloat16)}
    values = torch.randn(20, 30)
    live.write("w", values)
    whole = live.tensors["w"].clone()
    for start in (0, 256, 512):
        live.write("w", values.view(-1)[start : start + 256], start=start)
    assert torch.equal(live.tensors["w"], whole)
    assert not torch.equal(whole, values.bfloat16())


def test_float32_is_written_as_it_is(families: dict[str, Family]) -> None:
    live = families["llama"].live(rounding="stochastic")
    live.write_checkpoint(open_checkpoint(families["llama"].experts["a"]))
    for key, tensor in load_file(families["llama"].experts["a"] / "model.safetensors").items():
        assert torch.equal(live.tensors[live.aliases[key]], tensor)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_device_map_gives_the_same_model(name: str, families: dict[str, Family]) -> None:
    family = families[name]
    plain, spread = family.live(), family.live(device_map="auto")
    expert = open_checkpoint(family.experts["a"])
    for live in (plain, spread):
        live.write_checkpoint(expert)
    ids = torch.arange(12).view(2, 6)
    with torch.inference_mode():
        logits = [live.module(input_ids=ids).logits for live in (plain, spread)]
    assert torch.equal(*logits)


def test_model_without_room_is_refused(
    families: dict[str, Family], monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_without_room(folder: Path, **settings: Any) -> Any:
        config = AutoConfig.from_pretrained(folder)
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config)

    monkeypatch.setattr(live_model, "load_module", load_without_room)
    with pytest.raises(ResourceError, match=r"must fit into the memory .* found no place"):
        families["llama"].live(device_map="auto")


def test_tensors_in_another_order_of_memory_are_written_right(tmp_path: Path) -> None:
    module = torch.nn.Linear(3, 2, bias=False)
    module.weight = torch.nn.Parameter(torch.zeros(3, 2).T)
    save_file({"weight": torch.arange(6.0).view(2, 3)}, tmp_path / "model.safetensors")
    live = LiveModel(module, open_checkpoint(tmp_path))
    live.write_checkpoint(live.base)
    assert module.weight.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_folder_that_is_no_model_is_refused(families: dict[str, Family], tmp_path: Path) -> None:
    odd = Path(shutil.copytree(families["llama"].base, tmp_path / "odd"))
    (odd / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"odd: the model cannot be loaded"):
        LiveModel.load(open_checkpoint(odd))


def test_other_numbers_than_are_mapped_are_refused(
    families: dict[str, Family], monkeypatch: pytest.MonkeyPatch
) -> None:
    load = live_model.load_module

    def load_changed(folder: Path, **settings: Any) -> Any:
        module = load(folder, **settings)
        weight = module.model.layers[1].mlp.up_proj.weight
        weight.data[0, 0] = weight.data[0, 0].nextafter(torch.tensor(9.0))
        return module

    monkeypatch.setattr(live_model, "load_module", load_changed)
    with pytest.raises(CheckpointError, match=r"other numbers into `model.layers.1.mlp.up_proj.w"):
        families["llama"].live()


def test_numbers_that_are_none_equal_themselves(
    families: dict[str, Family], tmp_path: Path
) -> None:
    odd = Path(shutil.copytree(families["llama"].base, tmp_path / "odd"))
    edit(odd, lambda tensors: tensors["model.norm.weight"].fill_(torch.nan))
    LiveModel.load(open_checkpoint(odd))


def test_base_of_another_shape_is_refused_by_name(
    families: dict[str, Family], tmp_path: Path
) -> None:
    odd = Path(shutil.copytree(families["llama"].base, tmp_path / "odd"))
    edit(odd, lambda tensors: tensors.update({"model.norm.weight": torch.ones(5)}))
    with pytest.raises(
        CheckpointError,
        match=r"`model.norm.weight` must have shape \(18,\), as config.json says, but got \(5,\)",
    ):
        LiveModel.load(open_checkpoint(odd))


def test_one_question_serves_all_checkpoints_of_the_same_layout(
    families: dict[str, Family], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    family, asked = families["llama"], []
    live = family.live()

    def map_names(module: Any, folder: Path, tensors: Any) -> Any:
        asked.append(folder)
        return loading.map_names(module, folder, tensors)

    monkeypatch.setattr(live_model, "map_names", map_names)
    live.match(live.base)
    for path in family.experts.values():
        live.write_checkpoint(open_checkpoint(path))
        stored = load_file(path / "model.safetensors")
        assert all(torch.equal(live.tensors[live.aliases[key]], t) for key, t in stored.items())
    assert len(asked) <= 1  # loading the base may have asked already
    odd = Path(shutil.copytree(family.experts["a"], tmp_path / "odd"))
    edit(odd, lambda tensors: tensors.update({"model.norm.weight": torch.ones(5)}))
    with pytest.raises(CheckpointError, match=r"odd: tensor `model.norm.weight` must have shape"):
        live.match(open_checkpoint(odd))


def test_double_precision_is_read_as_float32_and_said(
    families: dict[str, Family], tmp_path: Path
) -> None:
    odd = Path(shutil.copytree(families["llama"].experts["a"], tmp_path / "odd"))
    edit(odd, lambda tensors: tensors.update({n: t.double() for n, t in tensors.items()}))
    live = families["llama"].live()
    with pytest.warns(MixwiseWarning, match=r"odd: it is saved in float64, but is read as float32"):
        live.write_checkpoint(open_checkpoint(odd))
