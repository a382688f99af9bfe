from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.problem.toys import ASKED, build, evaluate, toy, train
from torch import Tensor, nn

from mixwise.api import ProblemStudy
from mixwise.errors import CheckpointError, MixwiseError, TrainingError


class Scaled(nn.Module):
    """A network with a number that is neither parameter nor buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.network = build()
        self.scale = 1.0

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.network(x)


def diverging(network: nn.Module, *rest: Any) -> None:
    with torch.no_grad():
        network[0].weight[0, 0] = torch.inf


def failing(network: nn.Module, *rest: Any) -> None:
    raise RuntimeError("out of examples\nmore")


def hiding(network: nn.Module, *rest: Any) -> None:
    train(network.network, *rest)
    network.scale = 2.0


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"train": diverging}, TrainingError, "left=1.*tensor `0.weight` holds numbers that are"),
        ({"train": failing}, TrainingError, "`train` of `toy` failed .RuntimeError: out of"),
        ({"train": lambda *rest: None}, TrainingError, "left every tensor as it is in the base"),
        ({"train": lambda *rest: 3}, CheckpointError, "must return a torch.nn.Module, but ret"),
        (
            {"train": lambda *rest: nn.Sequential(nn.Linear(2, 3))},
            CheckpointError,
            "tensor `2.weight` is missing|`0.weight` must have shape",
        ),
        (
            {"build": Scaled, "train": hiding},
            TrainingError,
            "as trained, but .* by the parameters and buffers alone",
        ),
    ],
)
def test_what_cannot_be_kept_or_merged_is_refused_and_names_the_run(
    tmp_path: Path, changes: dict[str, Any], error: type[MixwiseError], match: str
) -> None:
    with (
        ProblemStudy.create(tmp_path / "study", toy(version="1", **changes), ASKED) as study,
        pytest.raises(error, match=match),
    ):
        study.train_experts()
    assert not list((tmp_path / "study" / "experts").glob("*/run.json"))


class Told:
    """What runs were told; an object, which is no part of a function's source."""

    def __init__(self) -> None:
        self.rows: list[tuple[dict[str, float], int, int, float]] = []


def seeds_of(found: Told) -> Callable[..., nn.Module]:
    def seen(network: nn.Module, mixture: dict[str, float], horizon: int, seed: int) -> nn.Module:
        assert network.training
        found.rows.append((mixture, horizon, seed, float(torch.rand(()))))
        train(network, mixture, horizon, seed)
        return network

    return seen


def test_runs_are_told_mixture_horizon_and_seed_and_global_numbers_are_seeded(
    tmp_path: Path,
) -> None:
    told = Told()
    problem = toy(train=seeds_of(told), version="1")
    before = torch.get_rng_state()
    with ProblemStudy.create(tmp_path / "study", problem, ASKED) as study:
        study.train_experts()
        [observation] = study.score([{"left": 0.25, "right": 0.75}], answer="reference")
    assert torch.equal(torch.get_rng_state(), before)
    found = told.rows
    assert [list(mixture.items()) for mixture, *_ in found[:2]] == [
        [("left", 1.0), ("right", 0.0), ("both", 0.0)],
        [("left", 0.0), ("right", 1.0), ("both", 0.0)],
    ]
    assert [(horizon, seed) for _, horizon, seed, _ in found] == [
        *[(66, 0)] * 3,
        (400, 1),
        (400, 2),
    ]
    drawn = [number for *_, number in found]
    assert drawn[0] == drawn[1] != drawn[3]
    assert observation.seeds == (1, 2)
    plain = build()
    train(plain, {"left": 0.25, "right": 0.75}, 400, 1)
    assert evaluate(plain)["target/loss"].mean().item() == pytest.approx(
        study_value(tmp_path / "study", problem), abs=1e-6
    )


def study_value(folder: Path, problem: Any) -> float:
    """The first seed's loss, as the ledger holds it."""
    with ProblemStudy.open(folder, problem, read_only=True) as study:
        [run] = [o for o in study.workspace.ledger.observations("reference") if o.seeds == (1,)]
    return run.values["target/loss"]


def test_what_train_returns_may_be_moved_to_where_it_is_evaluated(tmp_path: Path) -> None:
    def returned(network: nn.Module, *rest: Any) -> nn.Module:
        train(network, *rest)
        network.is_elsewhere = True
        return network

    def moving(network: nn.Module) -> dict[str, Tensor]:
        if getattr(network, "is_elsewhere", False):
            for parameter in network.parameters():  # as `to` does, where the device is another
                parameter.data = parameter.data.clone()
        return evaluate(network)

    with ProblemStudy.create(tmp_path, toy(train=returned, evaluate=moving), ASKED) as study:
        assert len(study.train_experts()) == 3
