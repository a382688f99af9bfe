from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mixwise.diagnostics.units.layers import (
    UnitLayer,
    changed_units,
    find_classifier_layers,
    find_mlp_layers,
    find_named_layers,
    has_mlps,
)
from mixwise.errors import EvaluationError

SIZES: dict[str, Any] = {
    "vocab_size": 32,
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 0,
}
WIDE = {"intermediate_size": 24, **SIZES}


@pytest.mark.parametrize("width", [24, 8])  # as wide as all else: shapes alone tell nothing
@pytest.mark.parametrize(
    ("kind", "sizes", "last"),
    [
        ("bert", SIZES, "bert.encoder.layer.1.output.dense"),
        ("roberta", SIZES, "roberta.encoder.layer.1.output.dense"),
        ("electra", SIZES, "electra.encoder.layer.1.output.dense"),  # its head has two linears too
        ("distilbert", {"dim": 8, "n_layers": 2, "n_heads": 2}, "transformer.layer.1.ffn.lin2"),
        ("vit", {**SIZES, "image_size": 8, "patch_size": 4}, "vit.layers.1.mlp.fc2"),
    ],
)
def test_mlps_of_classifiers_are_found_by_their_shape(
    kind: str, sizes: dict[str, Any], last: str, width: int
) -> None:
    import transformers

    key = "hidden_dim" if kind == "distilbert" else "intermediate_size"
    config = transformers.AutoConfig.for_model(kind, **sizes, **{key: width})
    task = "Image" if kind == "vit" else "Sequence"
    auto = getattr(transformers, f"AutoModelFor{task}Classification")
    layers = find_mlp_layers(auto.from_config(config))
    assert len(layers) == 2
    assert layers[-1].name.endswith(last)
    assert [layer.module.in_features for layer in layers] == [width, width]


@pytest.mark.parametrize(
    ("kind", "sizes", "last", "n_units"),
    [
        ("Llama", {**WIDE, "num_key_value_heads": 1}, "model.layers.1.mlp.down_proj", 24),
        ("Qwen2", {**WIDE, "num_key_value_heads": 1}, "model.layers.1.mlp.down_proj", 24),
        ("GPTNeoX", WIDE, "gpt_neox.layers.1.mlp.dense_4h_to_h", 24),
        ("Phi", WIDE, "model.layers.1.mlp.fc2", 24),
        ("GPT2", {"n_embd": 8, "n_layer": 2, "n_head": 2}, "transformer.h.1.mlp.c_proj", 32),
        (
            "OPT",
            {**SIZES, "ffn_dim": 24, "word_embed_proj_dim": 8},
            "model.decoder.layers.1.fc2",
            24,
        ),
        ("Bloom", {**SIZES, "n_layer": 2, "n_head": 2}, "transformer.h.1.mlp.dense_4h_to_h", 32),
        ("Falcon", SIZES, "transformer.h.1.mlp.dense_4h_to_h", 32),
    ],
)
def test_mlps_of_transformers_are_found_by_their_shape(
    kind: str, sizes: dict[str, Any], last: str, n_units: int
) -> None:
    import transformers

    config = getattr(transformers, f"{kind}Config")(**sizes)
    module = transformers.AutoModelForCausalLM.from_config(config).eval()
    layers = find_mlp_layers(module)
    assert len(layers) == 2
    assert layers[-1].name == last
    widths = []

    def see(index: int, units: Tensor) -> Tensor:
        widths.append((index, units.shape[-1]))
        return units

    with changed_units(layers, see), torch.no_grad():
        module(input_ids=torch.arange(6)[None])
    assert widths == [(0, n_units), (1, n_units)]


def test_a_module_without_mlps_is_told_how_to_name_its_layers() -> None:
    plain = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    assert not has_mlps(plain)
    with pytest.raises(EvaluationError, match=r"name those linears with `--layers PATTERN`"):
        find_mlp_layers(plain)


def test_layers_by_name_are_the_inputs_of_what_matches() -> None:
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))
    assert find_named_layers(module, "[03]") == (
        UnitLayer("0", module[0], "input", 1),
        UnitLayer("3", module[3], "input", -1),
    )
    with pytest.raises(EvaluationError, match=r"matches none: choose among names such as `0`, `3`"):
        find_named_layers(module, "1")


def test_outputs_of_a_classifier_are_followed_to_the_last_norm_or_activation() -> None:
    module = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 5, 2),
        nn.GELU(),
        nn.Flatten(),
        nn.Linear(5, 6),
        nn.Linear(6, 2),
    ).eval()
    layers = find_classifier_layers(module, lambda net: net(torch.randn(2, 1, 6, 6)))
    assert layers == (
        UnitLayer("2", module[2], "output", 1),
        UnitLayer("5", module[5], "output", 1),
        UnitLayer("7", module[7], "output", -1),
    )


def test_every_convolution_of_a_residual_network_is_a_layer() -> None:
    from transformers import ResNetConfig, ResNetForImageClassification

    torch.manual_seed(0)
    config = ResNetConfig(
        embedding_size=4, hidden_sizes=[4, 6], depths=[1, 1], layer_type="basic", num_labels=3
    )
    module = ResNetForImageClassification(config).eval()
    assert not has_mlps(module)
    layers = find_classifier_layers(module, lambda net: net(torch.randn(1, 3, 32, 32)))
    assert len(layers) == sum(isinstance(part, nn.Conv2d) for part in module.modules())
    assert all(layer.axis == 1 for layer in layers)
    assert layers[0].name == "resnet.embedder.embedder.activation"


class Shared(nn.Module):
    """Two layers with one activation module."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.head = nn.Linear(3, 4), nn.Linear(4, 5), nn.Linear(5, 2)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.act(self.b(self.act(self.a(x)))))


class Functional(Shared):
    """The same with an activation function that is no module."""

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.b(torch.relu(self.a(x)))))


def test_an_activation_module_that_serves_two_layers_is_refused() -> None:
    with pytest.raises(EvaluationError, match="`act` serves 2 layers"):
        find_classifier_layers(Shared(), lambda net: net(torch.randn(2, 3)))


def test_an_activation_function_leaves_the_linears_themselves() -> None:
    module = Functional()
    layers = find_classifier_layers(module, lambda net: net(torch.randn(2, 3)))
    assert [layer.name for layer in layers] == ["a", "b"]


def test_a_network_without_hidden_layer_has_no_units() -> None:
    with pytest.raises(EvaluationError, match="give a network with a hidden layer"):
        find_classifier_layers(nn.Linear(3, 2), lambda net: net(torch.randn(2, 3)))


def test_units_are_changed_on_their_own_axis_and_side() -> None:
    torch.manual_seed(0)
    module, x = nn.Sequential(nn.Conv1d(3, 4, 1), nn.Conv1d(4, 2, 1)), torch.randn(5, 3, 7)
    hidden = module[0](x)
    hidden[:, 1] = 0
    off = torch.tensor([1])

    def silence(index: int, units: Tensor) -> Tensor:
        assert index == 0
        assert units.shape == (5, 7, 4)
        return units.index_fill(-1, off, 0)

    for layer in (
        UnitLayer("0", module[0], "output", 1),
        UnitLayer("1", module[1], "input", 1),
    ):
        with changed_units([layer], silence):
            changed = module(x)
        assert torch.equal(changed, module[1](hidden))
        assert not torch.equal(module(x), changed)
