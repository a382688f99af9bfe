from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from mixwise.decision.agreement import Figures
from mixwise.decision.fidelity import Fidelity, measure_fidelity
from mixwise.report import fidelity_tables
from mixwise.report.fidelity_tables import fidelity_table, metric_fidelity_table
from mixwise.report.numbers import estimate
from mixwise.report.reading import load_contents

MakeStudy = Callable[..., Path]


def _rows(text: str) -> list[str]:
    return text.split("<tr")[2:]


def _measured(n_seeds: int = 2) -> Fidelity:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=16)
    return measure_fidelity(truth, truth[:, None] + rng.normal(size=(16, n_seeds)), sign=1, seed=0)


def test_every_figure_has_a_row_of_three() -> None:
    found = _measured()
    rows = _rows(fidelity_table(found))
    assert list(fidelity_tables._FIGURES) == [field.name for field in fields(Figures)]
    assert len(rows) == len(fields(Figures))
    assert found.noiseless is not None
    for figures, row in zip(fields(Figures), rows, strict=True):
        beside = (found, found.noiseless, found.chance)
        shown = [estimate(getattr(part, figures.name)) for part in beside]
        if figures.name == "bias":
            shown[2] = "—"
        assert [row.count(f">{text}<") >= 1 for text in shown] == [True] * 3


def test_one_seed_leaves_dashes_for_what_noise_allows() -> None:
    one = _measured(n_seeds=1)
    assert one.noiseless is None
    for row in _rows(fidelity_table(one)):
        assert row.count(">—<") == (2 if "Bias" in row else 1)


def test_an_undefined_figure_is_a_dash(make_study: MakeStudy) -> None:
    contents = load_contents(make_study())
    assert contents.validation is not None
    text = metric_fidelity_table(contents.validation.fidelity, contents.metrics)
    row = next(row for row in _rows(text) if "objective" in row)
    assert "1.000 (1.000 to 1.000)" in row
    assert ">—<" in row  # the best quarter of eight is two: no rank correlation


def test_the_objective_is_marked_where_it_is() -> None:
    rows = {"a/loss": _measured(), "objective": _measured()}
    first, second = _rows(metric_fidelity_table(rows, {}))
    assert "marked" not in first
    assert "marked" in second
    (only,) = _rows(metric_fidelity_table({"a/loss": replace(_measured(), ceiling=None)}, {}))
    assert "marked" not in only
