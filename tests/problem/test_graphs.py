import warnings

import pytest
import torch
from tests.problem.toys import evaluate, toy, with_norm
from torch import Tensor, nn

from mixwise.errors import MixwiseWarning
from mixwise.problem.graphs import warn_of_cut_graphs
from mixwise.problem.states import build_module


def weighted(network: nn.Module) -> dict[str, Tensor]:
    """The loss, each example by its own weight, which depends on the network too."""
    found = evaluate(network)
    loss = found["target/loss"]
    return {**found, "target/loss": loss.detach() ** 2 * loss}


def test_a_metric_whose_graph_is_cut_is_told() -> None:
    with pytest.warns(MixwiseWarning, match=r"`target/loss` of `toy` changes by .* graph is cut"):
        warn_of_cut_graphs(toy(evaluate=weighted))


@pytest.mark.parametrize("changes", [{}, {"build": with_norm}])
def test_a_metric_that_moves_as_its_graph_says_is_not(changes: dict[str, object]) -> None:
    problem = toy(**changes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_cut_graphs(problem)


def test_a_network_of_little_precision_is_not_judged() -> None:
    def coarse() -> nn.Module:
        return build_module(toy()).to(torch.bfloat16)

    def read(network: nn.Module) -> dict[str, Tensor]:
        return weighted(network.float())

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_cut_graphs(toy(build=coarse, evaluate=read))
