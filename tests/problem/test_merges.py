"""Merges of a problem's networks against plain PyTorch."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.problem.toys import (
    ACCURACY,
    ASKED,
    CENTRES,
    DOMAINS,
    LOSS,
    build,
    evaluate,
    points,
    recalibrate,
    toy,
    train,
    with_norm,
)
from torch import Tensor, nn

from mixwise.api import ProblemStudy
from mixwise.errors import CheckpointError, EvaluationError, MixwiseWarning, RecipeError
from mixwise.mixture import Mixture
from mixwise.problem.problem import Problem
from mixwise.scorer import Request
from mixwise.testing import check_scorer

NAMES = tuple(DOMAINS)
MERGED = ASKED | {"proxy": {"answer": "merged"}}
BY_TWO = Mixture(NAMES, (0.3, 0.7, 0.0))
Made = Callable[..., ProblemStudy]


@pytest.fixture
def trained(tmp_path: Path) -> Iterator[Made]:
    """Opens studies whose experts are trained."""
    opened: list[ProblemStudy] = []

    def make(problem: Problem, settings: Mapping[str, Any] = MERGED) -> ProblemStudy:
        study = ProblemStudy.create(tmp_path / problem.name, problem, settings).__enter__()
        opened.append(study)
        study.train_experts()
        return study

    yield make
    for study in opened:
        study.close()


def expert(study: ProblemStudy, domain: str) -> dict[str, Tensor]:
    return load_file(study.folder / "experts" / domain / "model.safetensors")


def measured(network: nn.Module, state: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    network.load_state_dict(dict(state))
    with torch.no_grad():
        found = evaluate(network.eval())
    return {name: values.double().numpy() for name, values in found.items()}


def examples(study: ProblemStudy, mixture: Mixture) -> dict[str, np.ndarray]:
    [observation] = study.score([mixture])
    return {m.metric: m.examples for m in observation.measurements}


def test_share_1_is_the_expert_bit_for_bit_and_an_average_the_plain_one(trained: Made) -> None:
    study = trained(toy())
    for domain in NAMES:
        found = examples(study, Mixture.single(NAMES, domain))
        for name, values in measured(build(), expert(study, domain)).items():
            assert np.array_equal(found[name], values)
    first, second = expert(study, "left"), expert(study, "right")
    average = {name: 0.3 * first[name] + 0.7 * second[name] for name in first}
    found = examples(study, BY_TWO)
    for name, values in measured(build(), average).items():
        assert np.allclose(found[name], values, atol=1e-6)


def test_it_is_a_scorer_as_any_other(trained: Made) -> None:
    study = trained(toy())
    check_scorer(study.workspace.proxy, [BY_TWO, Mixture.uniform(NAMES)])


def test_slopes_and_hessian_are_those_of_finite_differences(trained: Made) -> None:
    study = trained(toy())
    request = Request(order=2, per_example=True)
    [observation] = study.score([Mixture.uniform(NAMES)], request=request)
    loss, accuracy = observation.measurements
    assert accuracy.derivatives is None
    found = loss.derivatives
    assert found is not None
    base = {k: v.double() for k, v in build().state_dict().items()}
    deltas = [{k: v.double() - base[k] for k, v in expert(study, n).items()} for n in NAMES]

    def plain(shares: np.ndarray) -> np.ndarray:
        merged = {
            k: v + sum(s * d[k] for s, d in zip(shares, deltas, strict=True))
            for k, v in base.items()
        }
        network = build().double()
        network.load_state_dict(merged)
        parts = [points(kind, 8, 99) for kind in CENTRES]
        logits = network(torch.cat([x for x, _ in parts]).double())
        labels = torch.cat([y for _, y in parts])
        return nn.functional.cross_entropy(logits, labels, reduction="none").detach().numpy()

    at, step = np.full(3, 1 / 3), 1e-3
    moved = [step * np.eye(3)[i] for i in range(3)]
    slopes = np.stack([(plain(at + m) - plain(at - m)) / (2 * step) for m in moved], axis=1)
    assert np.allclose(found.example_slopes, slopes, atol=1e-4)
    assert np.allclose(found.slopes, slopes.mean(axis=0), atol=1e-5)
    second = [
        [
            (plain(at + a + b) - plain(at + a - b) - plain(at - a + b) + plain(at - a - b)).mean()
            / (4 * step**2)
            for b in moved
        ]
        for a in moved
    ]
    assert found.hessian is not None
    assert np.allclose(found.hessian, second, atol=1e-4)


def test_merges_answer_by_default(trained: Made) -> None:
    study = trained(toy(log_likelihoods=("target/loss",)), ASKED)
    answers = study.workspace.answers
    assert (answers.averaged, answers.readings) == (("merged",), 0)


def test_predictions_are_averaged_where_they_are_known(trained: Made) -> None:
    problem = toy(metrics=(LOSS, ACCURACY), log_likelihoods=("target/loss",))
    study = trained(problem, ASKED | {"proxy": {"answer": "predictions"}})
    assert study.workspace.answers.averaged == ("predictions",)
    likelihoods = [np.exp(-measured(build(), expert(study, n))["target/loss"]) for n in NAMES]
    found = examples(study, BY_TWO)
    assert np.allclose(found["target/loss"], -np.log(BY_TWO.array @ likelihoods), atol=1e-6)
    average = {
        k: 0.3 * v + 0.7 * expert(study, "right")[k] for k, v in expert(study, "left").items()
    }
    right = measured(build(), average)["target/accuracy"]
    assert np.array_equal(found["target/accuracy"], right)  # by the merge: predictions know none


def tied_and_frozen() -> nn.Module:
    network = build()
    network.insert(2, nn.Linear(6, 6, bias=False))
    network.insert(3, nn.Linear(6, 6))
    with torch.no_grad():
        network[2].weight.copy_(torch.eye(6))
    network[3].weight = network[2].weight
    network[3].bias.data.fill_(0.1).requires_grad_(False)
    network[3].bias.requires_grad_(False)
    network.register_buffer("steps", torch.zeros((), dtype=torch.int64))
    return network


def train_and_count(network: nn.Module, mixture: Any, horizon: int, seed: int) -> nn.Module:
    train(network, mixture, horizon, seed)
    network.steps += horizon
    return network


def test_tied_and_frozen_parts_stay_so_and_counters_are_the_bases(trained: Made) -> None:
    seen: list[nn.Module] = []

    def looking(network: nn.Module) -> dict[str, Tensor]:
        seen.append(network)
        return evaluate(network)

    study = trained(toy(build=tied_and_frozen, train=train_and_count, evaluate=looking))
    with pytest.warns(MixwiseWarning, match="training changes `steps`, whole numbers"):
        examples(study, BY_TWO)
    base, merged = tied_and_frozen(), seen[-1]
    assert merged[3].weight is merged[2].weight
    states = [expert(study, name) for name in ("left", "right")]
    expected = 0.3 * states[0]["2.weight"] + 0.7 * states[1]["2.weight"]
    assert torch.allclose(merged[2].weight, expected, atol=1e-6)
    assert not torch.equal(merged[2].weight, base[2].weight)
    assert torch.equal(merged[3].bias, base[3].bias)
    assert int(merged.steps) == 0
    examples(study, Mixture.single(NAMES, "left"))
    assert int(seen[-1].steps) == 66  # share 1 is the expert with all that it has


def test_whole_numbers_that_are_parameters_are_told_too(trained: Made) -> None:
    def counted() -> nn.Module:
        network = build()
        steps = torch.zeros((), dtype=torch.int64)
        network.register_parameter("steps", nn.Parameter(steps, requires_grad=False))
        return network

    study = trained(toy(build=counted, train=train_and_count))
    with pytest.warns(MixwiseWarning, match="training changes `steps`, whole numbers"):
        examples(study, BY_TWO)


def test_running_statistics_are_estimated_anew_and_never_averaged(trained: Made) -> None:
    problem = toy(build=with_norm, recalibrate=recalibrate)
    study = trained(problem)
    with pytest.warns(MixwiseWarning, match="`1.num_batches_tracked`"):
        found = examples(study, BY_TWO)
    states = [expert(study, name) for name in ("left", "right")]
    average = {
        name: 0.3 * value + 0.7 * states[1][name] if value.is_floating_point() else value
        for name, value in states[0].items()
    }
    wrong = measured(with_norm(), average)
    network = with_norm()
    network.load_state_dict(average)
    recalibrate(network)
    right = measured(network, network.state_dict())
    assert np.allclose(found["target/loss"], right["target/loss"], atol=1e-6)
    assert not np.allclose(found["target/loss"], wrong["target/loss"], atol=1e-3)
    corner = examples(study, Mixture.single(NAMES, "left"))
    assert np.array_equal(corner["target/loss"], measured(with_norm(), states[0])["target/loss"])
    [sloped] = study.score([BY_TWO], request=Request(order=1))
    assert sloped.measurements[0].derivatives is None  # what recalibrating does to it is not known


def test_moved_statistics_without_a_recalibration_are_refused_by_name(trained: Made) -> None:
    with pytest.raises(CheckpointError, match=r"moved buffer `1.running_mean`.* `recalibrate`"):
        trained(toy(build=with_norm))


def test_values_of_a_merge_that_are_none_or_too_few_name_the_merge(trained: Made) -> None:
    left = []

    def breaking(network: nn.Module) -> dict[str, Any]:
        found = evaluate(network)
        if left:
            found["target/loss"] = left[0](found["target/loss"])
        return found

    study = trained(toy(evaluate=breaking))
    left.append(lambda values: values[1:])
    with pytest.raises(EvaluationError, match=r"left=0.3.*each of the 24 examples .* but has 23"):
        study.score([BY_TWO])
    left[0] = lambda values: values / 0
    with pytest.raises(EvaluationError, match=r"left=0.3.*`target/loss` must be finite"):
        study.score([BY_TWO])


def test_a_mixture_in_another_order_is_the_same_and_other_domains_are_refused(
    trained: Made,
) -> None:
    by_predictions = ASKED | {"proxy": {"answer": "predictions"}}
    study = trained(toy(log_likelihoods=("target/loss",)), by_predictions)
    wanted = examples(study, BY_TWO)["target/loss"]
    turned = Mixture(("right", "both", "left"), (0.7, 0.0, 0.3))
    assert np.array_equal(examples(study, turned)["target/loss"], wanted)
    [found] = study.score([dict(zip(("right", "left"), np.array([0.7, 0.3]), strict=True))])
    assert np.array_equal(found.measurements[0].examples, wanted)
    for answer in ("proxy", "reference"):
        with pytest.raises(RecipeError, match="`middle` is not a domain"):
            study.score([Mixture(("left", "middle"), (0.3, 0.7))], answer=answer)  # type: ignore[arg-type]


def test_studies_that_are_open_at_once_do_not_measure_each_others_data(trained: Made) -> None:
    def shifted(shift: Tensor) -> Callable[[nn.Module], dict[str, Tensor]]:
        return lambda network: {"target/loss": evaluate(network)["target/loss"] + shift}

    problems = [toy(metrics=(LOSS,), evaluate=shifted(torch.tensor(shift))) for shift in (0.0, 5.0)]
    first = trained(problems[0])
    second = ProblemStudy.create(first.folder.parent / "second", problems[1], MERGED)
    with second:
        second.train_experts()
        low = examples(first, BY_TWO)["target/loss"]
        high = examples(second, BY_TWO)["target/loss"]
    assert np.allclose(high, low + 5)


def test_values_that_share_memory_with_the_next_ones_are_copied(trained: Made) -> None:
    kept = [np.empty(24)]  # of an object, and so in no source

    def reusing(network: nn.Module) -> dict[str, Any]:
        kept[0][:] = evaluate(network)["target/loss"].detach().double().numpy()
        return {"target/loss": kept[0]}

    loss = replace(LOSS, is_differentiable=False)
    study = trained(toy(metrics=(loss,), evaluate=reusing, version="1"))
    names = [Mixture.single(NAMES, "left"), BY_TWO]
    found = [o.measurements[0].examples for o in study.score(names)]
    alone = measured(build(), expert(study, "left"))["target/loss"]
    assert np.array_equal(found[0], alone)
    assert not np.array_equal(found[1], alone)
