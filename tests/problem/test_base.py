import itertools
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from tests.problem.toys import build, evaluate, recalibrate, toy, with_norm
from torch import Tensor, nn

from mixwise.errors import CheckpointError, EvaluationError
from mixwise.problem.base import require_measured_anew, try_base

COUNTED = itertools.count()


def other_each_time() -> nn.Module:
    network = build()
    with torch.no_grad():
        network[0].bias += next(COUNTED)
    return network


def moving(network: nn.Module) -> dict[str, Tensor]:
    found = evaluate(network)
    with torch.no_grad():
        network[2].bias += 0.5
    return found


def changed(change: Callable[[dict[str, Tensor]], dict[str, Any]]) -> Callable[..., Any]:
    return lambda network: change(evaluate(network))


def noisy(found: dict[str, Tensor]) -> dict[str, Any]:
    return found | {"target/loss": found["target/loss"] + next(COUNTED)}


def drawn(found: dict[str, Tensor]) -> dict[str, Any]:
    return found | {"target/loss": found["target/loss"][torch.randperm(24)]}


def failing(network: nn.Module) -> dict[str, Tensor]:
    raise KeyError("no such column")


def not_a_number(found: dict[str, Tensor]) -> dict[str, Any]:
    values = found["target/loss"].clone()
    values[3] = torch.nan
    return found | {"target/loss": values}


@pytest.mark.parametrize(
    ("evaluate", "match"),
    [
        (failing, "`evaluate` of `toy` failed .KeyError"),
        (lambda network: None, "must return values by metric, but returned NoneType"),
        (changed(lambda v: {"target/loss": v["target/loss"]}), "no values of `target/accuracy`"),
        (changed(lambda v: v | {"target/f1": v["target/loss"]}), "`target/f1`, which is no metric"),
        (changed(lambda v: v | {"target/loss": v["target/loss"].mean()}), "has shape ..: average"),
        (changed(lambda v: v | {"target/loss": v["target/loss"] + 0j}), "must be real numbers"),
        (changed(lambda v: v | {"target/loss": ["a"] * 24}), "`target/loss` must be numbers"),
        (
            changed(lambda v: v | {"target/accuracy": v["target/accuracy"][1:]}),
            "must have the same examples, but have 24 and 23",
        ),
        (changed(not_a_number), "`target/loss` must be finite on every example, but 1 of 24"),
        (changed(noisy), "gave other values of `target/loss` for the same module"),
        (changed(drawn), "gave other values of `target/loss` for the same module"),
        (moving, "gave other values|changes tensor `2.bias`"),
        (
            changed(lambda v: v | {"target/loss": v["target/loss"].detach()}),
            "`target/loss` is called differentiable, but its values carry no graph",
        ),
    ],
)
def test_an_evaluation_that_could_not_be_compared_is_refused_by_metric(
    evaluate: Callable[..., Any], match: str
) -> None:
    with pytest.raises(EvaluationError, match=match):
        try_base(toy(evaluate=evaluate))


def test_an_evaluation_that_moves_the_network_is_refused() -> None:
    def counting(network: nn.Module) -> dict[str, Tensor]:
        found = evaluate(network)
        network.kept += 1
        return found

    def with_counter() -> nn.Module:
        network = build()
        network.register_buffer("kept", torch.zeros(()))
        return network

    with pytest.raises(EvaluationError, match="changes tensor `kept` of the module"):
        try_base(toy(build=with_counter, evaluate=counting))


@pytest.mark.parametrize(
    ("build", "match"),
    [
        (other_each_time, "a second call made others .`0.bias`.: set a seed"),
        (lambda: nn.Sequential(nn.Linear(2, 2)), "a second call made others .`0.bias`.: set a"),
        (cache(build), "must make a new module .* two calls share tensor `0.weight`"),
        (lambda: 1 / 0, "failed .ZeroDivisionError"),
        (lambda: "network", "must return a torch.nn.Module, but returned str"),
        (nn.Identity, "the module has no tensors"),
        (lambda: nn.Sequential(nn.Linear(2, 2).double()), "`0.weight` is of torch.float64"),
    ],
)
def test_a_base_that_could_not_be_merged_is_refused(build: Callable[[], Any], match: str) -> None:
    with pytest.raises(CheckpointError, match=match):
        try_base(toy(build=build))


def test_a_base_is_measured_as_it_is() -> None:
    tried = try_base(toy())
    plain = evaluate(build().eval())
    assert tried.lengths == {"target": 24}
    assert tried.n_parameters == 2 * 6 + 6 + 6 * 2 + 2
    for name, values in plain.items():
        assert np.array_equal(tried.values[name], values.detach().double().numpy())


def test_an_evaluation_that_moves_the_tensors_elsewhere_is_refused() -> None:
    def elsewhere(network: nn.Module) -> dict[str, Tensor]:
        for parameter in network.parameters():  # as `to` does, where the device is another
            parameter.data = parameter.data.clone()
        return evaluate(network)

    with pytest.raises(EvaluationError, match=r"replaces tensor `0\.weight`.*build the module on"):
        try_base(toy(evaluate=elsewhere))


def test_values_may_be_a_list_of_tensors() -> None:
    listed = changed(lambda v: v | {"target/loss": list(v["target/loss"])})
    assert np.array_equal(
        try_base(toy(evaluate=listed)).values["target/loss"], try_base(toy()).values["target/loss"]
    )


def moving_by_data(network: nn.Module) -> None:
    network[0].bias.data.add_(1)  # which autograd does not count


def moving_in_place(network: nn.Module) -> None:
    with torch.no_grad():
        network[0].bias.add_(1)


def replacing(network: nn.Module) -> None:
    network[1].running_mean = torch.zeros(6)


def going_on(network: nn.Module) -> None:
    recalibrate(network)
    network[1].running_mean += next(COUNTED)


@pytest.mark.parametrize(
    ("recalibrate", "match"),
    [
        (moving_by_data, r"has changed parameter `0\.bias`"),
        (moving_in_place, r"has changed parameter `0\.bias`"),
        (replacing, r"moves or replaces tensor `1\.running_mean`"),
        (going_on, r"gave another `1\.running_mean` for the same module"),
        (lambda network: 1 / 0, r"`recalibrate` of `toy` failed \(ZeroDivision"),
    ],
)
def test_a_recalibration_that_could_not_be_compared_is_refused_before_training(
    recalibrate: Callable[..., Any], match: str
) -> None:
    with pytest.raises(EvaluationError, match=match):
        try_base(toy(build=with_norm, recalibrate=recalibrate))


def test_a_recalibration_leaves_the_base_that_is_kept() -> None:
    kept = try_base(toy(build=with_norm, recalibrate=recalibrate)).module.state_dict()
    for name, tensor in with_norm().state_dict().items():
        assert torch.equal(kept[name], tensor)


class Caching(nn.Module):
    """Keeps what follows from its weights, until it trains where it clears that."""

    def __init__(self, *, clears: bool) -> None:
        super().__init__()
        self.network, self.clears = build(), clears
        self.kept: Tensor | None = None

    def train(self, mode: bool = True) -> nn.Module:
        if mode and self.clears:
            self.kept = None
        return super().train(mode)

    def forward(self, x: Tensor) -> Tensor:
        if self.kept is None:
            self.kept = self.network[0].weight.detach() * 2
        return self.network(x @ self.kept.T @ self.kept)


def test_values_that_stay_behind_the_weights_are_refused() -> None:
    for problem in (
        toy(evaluate=cache(evaluate)),
        toy(build=lambda: Caching(clears=False)),
    ):
        with pytest.raises(EvaluationError, match=r"`target/loss` of `toy` does not follow"):
            require_measured_anew(problem)
    require_measured_anew(toy(build=lambda: Caching(clears=True)))
    require_measured_anew(toy())
