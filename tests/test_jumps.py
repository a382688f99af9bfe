"""The benchmark of jumping metrics: its scorer differentiates, counts and plays back rightly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.jumps import Draw, by_race, by_search, compare
from benchmarks.merged_classifiers import Merges, RowsScorer
from benchmarks.truth.labelled_models import Rows, SentenceNetwork
from benchmarks.truth.subsets_bed import Material

from mixwise.kinds import LABEL_ACCURACY
from mixwise.mixture import Mixture
from mixwise.scorer import SLOPES, Part, Request

DOMAINS = ("a", "b", "c")


@pytest.fixture(scope="module")
def merges() -> Merges:
    """Merges of noise: enough for what is asked here."""
    torch.manual_seed(0)

    def rows(n: int) -> Rows:
        return Rows(torch.randint(1, 4096, (n, 96)), torch.randint(0, 2, (n,)))

    network = SentenceNetwork(2)
    test = {name: rows(n) for name, n in zip(DOMAINS, (30, 40, 50), strict=True)}
    material = Material("noise", network, 1e-3, {n: rows(8) for n in DOMAINS}, test, Path())
    base = {k: v.detach().clone() for k, v in network.named_parameters()}
    deltas = [{k: 0.1 * torch.randn_like(v) for k, v in base.items()} for _ in DOMAINS]
    return Merges(material, base, deltas)


def scorer(merges: Merges) -> RowsScorer:
    return RowsScorer(merges, Draw(merges, 0, ()).halves()[0])


def test_slopes_are_those_of_the_loss_on_the_rows_that_are_seen(merges: Merges) -> None:
    chosen, step = scorer(merges), 0.01
    [found] = chosen.score([Mixture(DOMAINS, (0.2, 0.3, 0.5))], SLOPES)
    [up], [down] = (
        chosen.score([Mixture(DOMAINS, (0.2 + s, 0.3 - s, 0.5))]) for s in (step, -step)
    )
    for measured in found.measurements:
        name = measured.metric
        if name.endswith("accuracy"):
            assert measured.derivatives is None
            continue
        assert measured.derivatives is not None
        slopes = measured.derivatives.slopes
        measured_slope = (up.values[name] - down.values[name]) / (2 * step)
        assert slopes[0] - slopes[1] == pytest.approx(measured_slope, rel=0.02, abs=2e-3)


def test_parts_are_counted_and_together_are_the_whole(merges: Merges) -> None:
    chosen, mixture = scorer(merges), Mixture.uniform(DOMAINS)
    [whole] = chosen.score([mixture])
    parts = [chosen.score([mixture], Request(part=Part(k, k + 1, 3)))[0] for k in range(3)]
    assert chosen.spent == pytest.approx([1, 1 / 3, 1 / 3, 1 / 3])
    for measured in whole.measurements:
        together = np.concatenate([part.measurement(measured.metric).examples for part in parts])
        assert sorted(together) == sorted(measured.examples)


def test_no_way_is_given_a_row_that_regret_is_taken_on(merges: Merges) -> None:
    seen, unseen = Draw(merges, 3, ()).halves()
    for name in DOMAINS:
        both = np.concatenate([seen[name], unseen[name]])
        assert sorted(both) == list(range(len(merges.material.test[name])))


def test_the_best_of_all_rows_loses_nothing_and_a_killed_script_goes_on(
    merges: Merges, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways = (by_search("random", LABEL_ACCURACY), by_race)
    monkeypatch.setattr("benchmarks.jumps.WAYS", ways)
    monkeypatch.setattr("benchmarks.jumps._N_DENSE", 8)
    first = compare("noise", merges, 2, tmp_path / "found.json")
    again = compare("noise", merges, 3, tmp_path / "found.json")
    assert again[: len(first)] == first
    assert {o.seed for o in again} == {0, 1, 2}
    mixtures = [Mixture.uniform(DOMAINS), Mixture.single(DOMAINS, "a")]
    draw = Draw(merges, 0, mixtures)
    assert min(np.abs(draw.regret(mixtures))) == 0
