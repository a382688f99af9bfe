from collections.abc import Callable

import pytest
import torch
from tests.problem.toys import build
from torch import nn

from mixwise.problem.states import buffer_names, difference, groups, not_finite, unmergeable


class Extra(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def get_extra_state(self) -> object:
        return {"told": 1}

    def set_extra_state(self, state: object) -> None:
        pass


def with_buffer(buffer: torch.Tensor, *, persistent: bool = True) -> nn.Module:
    network = build()
    network.register_buffer("kept", buffer, persistent=persistent)
    return network


def with_a_view() -> nn.Module:
    network = build()
    network.register_buffer("kept", network[0].weight.detach()[0])
    return network


def with_a_hook() -> nn.Module:
    network = build()

    def copy(module: nn.Module, state: dict[str, object], prefix: str, metadata: object) -> None:
        state["0.weight"] = network[0].weight.detach().clone()

    network.register_state_dict_post_hook(copy)
    return network


def without_an_entry() -> nn.Module:
    network = build()

    def drop(module: nn.Module, state: dict[str, object], prefix: str, metadata: object) -> None:
        del state["2.bias"]

    network.register_state_dict_post_hook(drop)
    return network


def quantised() -> torch.Tensor:
    return torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (Extra, "`_extra_state` in `state_dict` is no tensor but dict"),
        (lambda: nn.Sequential(nn.LazyLinear(2)), "`0.weight` is not initialised yet"),
        (lambda: with_buffer(torch.ones(2).to_sparse()), "`kept` is stored as torch.sparse_coo"),
        (lambda: with_buffer(torch.ones(2, dtype=torch.complex64)), "`kept` is of torch.complex64"),
        (lambda: with_buffer(torch.ones(2).double()), "`kept` is of torch.float64"),
        (lambda: with_buffer(torch.ones(2).to(torch.float8_e4m3fn)), "is of torch.float8_e4m3fn"),
        (lambda: with_buffer(torch.ones(2, device="meta")), "`kept` is on the meta device"),
        (lambda: with_buffer(quantised()), "`kept` is a Tensor of torch.qint8"),
        (with_a_view, "share memory without being one tensor"),
        (with_a_hook, "`0.weight` in `state_dict` is not the module's own tensor"),
        (without_an_entry, "parameter `2.bias` is not in `state_dict`"),
    ],
)
@pytest.mark.filterwarnings("ignore:Lazy modules:UserWarning")
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")
def test_what_cannot_be_merged_is_refused_by_name(
    make: Callable[[], nn.Module], match: str
) -> None:
    reason = unmergeable(make())
    assert reason is not None
    assert match in reason


def test_plain_tied_frozen_and_counting_tensors_can_be_merged() -> None:
    network = with_buffer(torch.arange(3))
    network.add_module("again", nn.Linear(2, 6))
    network.again.weight = network[0].weight
    network[0].bias.requires_grad_(False)
    assert unmergeable(network) is None
    assert groups(network)["again.weight"] == "0.weight"
    assert buffer_names(network) == ("kept",)


def changed(change: Callable[[nn.Module], object]) -> nn.Module:
    network = with_buffer(torch.zeros(2), persistent=False)
    change(network)
    return network


def replace_layer(network: nn.Module) -> None:
    network[2] = nn.Linear(6, 3)


def tie(network: nn.Module) -> None:
    network[2].bias = nn.Parameter(network[2].bias.detach().clone())
    network.register_parameter("more", network[2].bias)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (replace_layer, "tensor `2.weight` must have shape (2, 6), as in the base, but has (3, 6)"),
        (lambda network: network.half(), "tensor `0.weight` must have dtype torch.float32"),
        (lambda network: network.kept.add_(1), "buffer `kept` has changed, but is not in"),
        (lambda network: network.add_module("more", nn.Linear(1, 1)), "is not in the base"),
        (lambda network: delattr(network[2], "bias"), "tensor `2.bias` is missing"),
    ],
)
def test_a_module_that_differs_in_more_than_values_is_named(
    change: Callable[[nn.Module], object], match: str
) -> None:
    found = difference(with_buffer(torch.zeros(2), persistent=False), changed(change))
    assert found is not None
    assert match in found


def test_a_tie_that_training_has_cut_is_named() -> None:
    base, other = build(), build()
    for network in (base, other):
        network.add_module("again", nn.Linear(2, 6))
    base.again.weight = base[0].weight
    found = difference(base, other)
    assert found is not None
    assert "`again.weight` and `0.weight` are one tensor in the base" in found


def test_the_first_tensor_that_is_not_finite_is_named() -> None:
    network = build()
    assert not_finite(network) is None
    with torch.no_grad():
        network[2].bias[0] = torch.nan
    assert not_finite(network) == "2.bias"
