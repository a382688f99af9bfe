"""Labelled beds: what is drawn or written stands on one side of the split in every domain."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from benchmarks.labelled_problems import Answers, problems
from benchmarks.merge_to_mix import Case, verdict_claims
from benchmarks.truth.labelled import LABELLED_BEDS, load_counts
from benchmarks.truth.labelled_derivatives import interactions
from benchmarks.truth.labelled_models import Rows, SentenceNetwork, mixed
from benchmarks.truth.labelled_table import load_labelled, table_of
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from mixwise.mixture import Mixture

WRITTEN = [name for name in LABELLED_BEDS if load_counts(name)]
MADE = [name for name in LABELLED_BEDS if table_of(name).is_file()]
DRAWN = [name for name in WRITTEN if LABELLED_BEDS[name].kind == "images"]


@pytest.mark.parametrize("name", WRITTEN)
def test_every_domain_has_every_label_in_training_and_in_test(name: str) -> None:
    counts, bed = load_counts(name), LABELLED_BEDS[name]
    labels = {label for _, _, label in counts}
    for part in ("train", "test"):
        for domain in bed.domains:
            assert all(counts[part, domain, label] > 0 for label in labels)


@pytest.mark.parametrize("name", DRAWN)
def test_all_vendors_draw_the_same_things(name: str) -> None:
    counts, first = load_counts(name), LABELLED_BEDS[name].domains[0]
    for (part, domain, label), n in counts.items():
        assert domain in LABELLED_BEDS[name].domains
        assert n == counts[part, first, label]


@pytest.mark.parametrize("name", MADE)
def test_a_table_holds_every_row_once_and_numbers_alone(name: str) -> None:
    runs = load_labelled(name)
    assert runs[0].answer == "base"
    assert len({run.key for run in runs}) == len(runs)
    for run in runs:
        assert all(0 <= accuracy <= 1 for accuracy in run.accuracies.values())
        assert np.isfinite(list(run.losses.values())).all()


@pytest.mark.parametrize("name", MADE)
def test_all_subsets_were_trained_with_three_seeds_and_48_ratio_mixtures_with_two(
    name: str,
) -> None:
    answers = Answers.of(name)
    n_seeds = [int(np.isfinite(row[:, 0]).sum()) for row in answers.truth(answers.mixtures, "loss")]
    of_subsets = [answers.is_subset(mixture) for mixture in answers.mixtures]
    assert sum(of_subsets) == 2 ** len(LABELLED_BEDS[name].domains) - 1
    assert len(of_subsets) - sum(of_subsets) == 48
    assert all(n == (3 if own else 2) for n, own in zip(n_seeds, of_subsets, strict=True))


@pytest.mark.parametrize("name", MADE)
def test_no_mixture_of_a_problem_holds_a_domain_of_the_targets_vendor(name: str) -> None:
    for problem in problems(Answers.of(name), "subsets"):
        assert len(problem.mixtures) == 2 ** len(problem.domains) - 1
        assert not {problem.target} & {d for m in problem.mixtures for d in m.support}


def test_predictions_at_a_corner_are_the_merge_there() -> None:
    answers = Answers.of("digits")
    singles = [mixture for mixture in answers.mixtures if len(mixture.support) == 1]
    merged, predicted = (
        answers.values(answer, 120, singles, "loss") for answer in ("merged", "predictions")
    )
    assert merged == pytest.approx(predicted, abs=1e-4)


def test_derivatives_are_those_of_the_loss() -> None:
    torch.manual_seed(0)
    module = SentenceNetwork(2)
    rows = Rows(torch.randint(1, 50, (40, 96)), torch.randint(0, 2, (40,)))
    base = {name: tensor.detach().double() for name, tensor in module.named_parameters()}
    module.double()
    delta = {name: 1e-3 * torch.randn_like(tensor) for name, tensor in base.items()}

    def loss(t: float) -> float:
        moved = {name: base[name] + t * delta[name] for name in base}
        logits = functional_call(module, moved, (rows.inputs,))
        return float(cross_entropy(logits, rows.labels).detach())

    found = interactions(module, base, [delta], {"set": rows})
    assert found.slopes[0, 0] == pytest.approx((loss(1) - loss(-1)) / 2, rel=1e-3)
    second = loss(1) + loss(-1) - 2 * loss(0)
    assert found.curvatures[0, 0, 0] == pytest.approx(second, rel=1e-2)


def test_a_run_reads_each_domain_by_its_share() -> None:
    train = {
        name: Rows(torch.full((n, 96), k), torch.zeros(n, dtype=torch.int64))
        for k, (name, n) in enumerate({"a": 10, "b": 30}.items())
    }
    rows = mixed(train, Mixture(("a", "b"), (0.75, 0.25)), 40, seed=1)
    assert [int((rows.inputs[:, 0] == k).sum()) for k in (0, 1)] == [30, 10]
    again = mixed(train, Mixture(("a", "b"), (0.75, 0.25)), 40, seed=1)
    assert torch.equal(rows.inputs, again.inputs)


def test_trusting_every_case_that_works_is_right_throughout() -> None:
    cases = [Case(("bed", k), b, 0.1, works=b < 0.5) for k, b in enumerate((0.1, 0.2, 0.9, 1.5))]
    areas, balanced = verdict_claims(cases, "somewhere")
    assert areas.value == balanced.value == 1
