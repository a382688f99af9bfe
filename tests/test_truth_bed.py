"""The truth bed's designs and tables: what is claimed on them must be there."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from benchmarks.truth.beds import BEDS, FIVE
from benchmarks.truth.design import extra_runs, planned
from benchmarks.truth.generate import wanted_runs
from benchmarks.truth.merges import load_merged
from benchmarks.truth.table import load_runs, table_file

COMPLETE = [name for name in BEDS if table_file(BEDS[name]).is_file()]


def test_the_full_design_has_what_claims_need() -> None:
    rows = planned("full", FIVE)
    assert len({str(row.mixture) for row in rows}) == len(rows) >= 96
    assert min(row.n_seeds for row in rows) == 2
    assert sum(row.n_seeds >= 5 for row in rows) == 12
    sides = Counter(row.split for row in rows)
    assert min(sides.values()) > 40


def test_report_mixtures_are_none_that_rules_are_trained_on() -> None:
    trained = {str(mixture) for mixture in extra_runs(FIVE)}
    for row in planned("full", FIVE):
        if row.split == "report":
            assert str(row.mixture) not in trained
            assert max(row.mixture.shares) < 1


def test_other_settings_train_mixtures_of_the_full_design_on_the_same_side() -> None:
    sides = {str(row.mixture): row.split for row in planned("full", FIVE)}
    for design, n in (("around", 24), ("few", 12)):
        rows = planned(design, FIVE)
        assert len(rows) == n
        assert all(sides[str(row.mixture)] == row.split for row in rows)


@pytest.mark.parametrize("name", COMPLETE)
def test_a_table_holds_runs_that_its_bed_asks_for_once_each(name: str) -> None:
    bed = BEDS[name]
    runs = load_runs(bed)
    keys = [run.key for run in runs]
    assert len(set(keys)) == len(keys)
    wanted = {(w.kind, str(w.mixture), w.seed): w.split for w in wanted_runs(bed)}
    for run in runs[1:]:
        assert wanted[run.key] == run.split
        assert np.isfinite(list(run.losses.values())).all()
    assert runs[0].kind == "base"


@pytest.mark.parametrize("name", COMPLETE)
def test_merges_at_corners_score_as_their_experts(name: str) -> None:
    experts = {str(run.mixture): run.losses for run in load_runs(name) if run.kind == "expert"}
    corners = [
        row for row in load_merged(name) if row.rule == "linear" and str(row.mixture) in experts
    ]
    for row in corners:
        assert row.losses == pytest.approx(experts[str(row.mixture)], abs=2e-6)
