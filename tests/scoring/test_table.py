import pytest

from mixwise.errors import EvaluationError
from mixwise.mixture import Mixture
from mixwise.scoring.table import TableRow, TableScorer

A, B = (Mixture.single("ab", name) for name in "ab")


def rows() -> list[TableRow]:
    return [
        TableRow(A, {"s/loss": 1.0}, 1),
        TableRow(A, {"s/loss": 3.0}, 2),
        TableRow(B, {"s/loss": 6.0}, 1),
    ]


def test_scores_are_means_over_seeds_and_runs_are_single() -> None:
    table = TableScorer(rows())
    assert table.mixtures == (A, B)
    scored = table.score([B, A])
    assert [o.values["s/loss"] for o in scored] == [6.0, 2.0]
    assert scored[1].seeds == (1, 2)
    assert [[o.values["s/loss"] for o in group] for group in table.runs([A, B])] == [[1, 3], [6]]
    assert (table.scale().base, table.scale().spread) == ({"s/loss": 4.0}, {"s/loss": 2.0})


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(EvaluationError, match="must have at least one row"):
        TableScorer([])
    with pytest.raises(EvaluationError, match="with seed 1 twice"):
        TableScorer([*rows(), TableRow(B, {"s/loss": 1.0}, 1)])
    with pytest.raises(EvaluationError, match="the same metrics, but `b=1` differs in t/loss"):
        TableScorer([*rows(), TableRow(B, {"s/loss": 1.0, "t/loss": 1.0}, 2)])
    with pytest.raises(EvaluationError, match="is not among the 2 mixtures of the table"):
        TableScorer(rows()).score([Mixture.uniform("ab")])
    with pytest.raises(EvaluationError, match="must be finite"):
        TableScorer([TableRow(A, {"s/loss": float("nan")})])
