"""Frivolous units and merges of classifiers: what the script makes of its table."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.truth.labelled import LABELLED_BEDS
from benchmarks.truth.labelled_models import NETWORKS
from benchmarks.units_labelled import WIDTHS, Setting, load_settings, mixtures_of, relate

from mixwise.diagnostics.units.layers import find_classifier_layers


def setting(bed: str, width: float, share: float, error: float) -> Setting:
    return Setting(bed, width, share, 1 - share, share, 1 - share, error, -error, error)


def test_correlations_are_over_all_settings_and_within_beds() -> None:
    """Within each bed the error grows with the share, and the bed of larger shares errs less."""
    settings = [setting("a", w, w / 10, w) for w in (1, 2, 3)]
    settings += [setting("b", w, 0.5 + w / 10, w / 100) for w in (1, 2, 3)]
    found = {claim.what: claim for claim in relate(settings)}
    what = "rank correlation of {} with the merge's {}, over {}"
    overall = found[what.format("prunable_base", "error", "all settings")]
    assert overall.value == pytest.approx(-0.5428571)  # ranks 4 5 6 1 2 3 of errors
    assert (overall.n, overall.low < overall.value < overall.high) == (6, True)
    within = found[what.format("prunable_base", "error", "widths of a bed")]
    assert (within.value, within.low, within.high, within.n) == (1, 1, 1, 2)
    assert found[what.format("redundant_experts", "error", "widths of a bed")].value == -1
    assert found[what.format("prunable_base", "rank", "widths of a bed")].value == -1


def test_merges_are_of_all_pairs_and_of_all_domains() -> None:
    names = [mixture.support for mixture in mixtures_of(("a", "b", "c"))]
    assert names == [("a", "b"), ("a", "c"), ("b", "c"), ("a", "b", "c")]


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("width", WIDTHS)
def test_units_are_those_of_all_hidden_layers(kind: str, width: float) -> None:
    import torch

    network = NETWORKS[kind](3, width)  # type: ignore[index]
    rows = torch.zeros(2, 3, 32, 32) if kind == "images" else torch.ones(2, 96, dtype=torch.int64)
    layers = find_classifier_layers(network, lambda module: module(rows))
    assert len(layers) == (3 if kind == "images" else 1)
    assert network(rows).shape == (2, 3)


def test_the_table_holds_every_setting_once() -> None:
    settings = load_settings()
    keys = [(row.bed, row.width) for row in settings]
    assert sorted(keys) == sorted({(bed, width) for bed in LABELLED_BEDS for width in WIDTHS})
    assert np.isfinite([row.error for row in settings]).all()
